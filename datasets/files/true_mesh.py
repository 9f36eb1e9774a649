"""The files of the true surface, looked at before anything slow is imported to read them."""

from collections.abc import Sequence
from pathlib import Path

from utils.errors import DataError
from utils.mesh.opening import require_mesh_files
from utils.terminal.typed_paths import nearby


def true_mesh_files(given: str | Sequence[str] | None) -> list[Path]:
    """The files that `dataset.gt_mesh` names, from none to many. Raises DataError for a missing one and for no mesh."""
    files = [Path(file) for file in ([given] if isinstance(given, str) else given or ())]
    if missing := [file for file in files if not file.is_file()]:
        raise DataError(
            f"dataset.gt_mesh: {missing[0]}: no such file.{nearby(missing[0])} Where the data was moved, give its new "
            f"place as dataset.gt_mesh=PATH beside dataset.root_dir, or dataset.gt_mesh=null to train and export "
            f"without it."
        )
    try:
        require_mesh_files(*files)
    except DataError as error:
        raise DataError(f"dataset.gt_mesh: {error}") from None
    return files
