"""Refuses links out of the dataset folder: a dataset from elsewhere must not read other files of this machine."""

from collections.abc import Iterable
from pathlib import Path

from utils.errors import DataError


def require_inside(root: Path, paths: Iterable[Path | None], follow_links: bool) -> None:
    """Raises DataError where a path below `root` is, or contains, a link to a file outside; ignores None.

    follow_links: `dataset.follow_links`, which allows such links."""
    if follow_links:
        return
    inside = root.resolve()
    for path in paths:
        if path is not None and not path.resolve().is_relative_to(inside):
            raise DataError(
                f"{path}: expected a file inside the dataset folder, got a link to {path.resolve()}. If you made the "
                f"link yourself, set dataset.follow_links=true; otherwise do not trust this dataset."
            )
