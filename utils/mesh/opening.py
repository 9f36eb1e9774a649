"""Files that hold no mesh are told by how they begin, before anything slow is imported to read them."""

from pathlib import Path

from utils.errors import DataError
from utils.images import SUFFIXES
from utils.terminal.typed_paths import MESH_HINT, require_files

_OPENINGS = {".ply": b"ply", ".glb": b"glTF"}
_ENOUGH = 2**20  # bytes that are looked at
_NO_MESH = {*SUFFIXES, ".mp4", ".mov", ".txt", ".md", ".json", ".yaml", ".ckpt", ".html"}


def require_mesh_files(*paths: Path) -> None:
    """Raises DataError for the first path where no file is, or one that does not begin as a mesh of its suffix does.

    What passes may still be unreadable, as `utils.mesh.files.read_mesh` tells."""
    require_files(*paths, hint=MESH_HINT)
    for path in paths:
        suffix = path.suffix.lower()
        with open(path, "rb") as file:
            begin = file.read(_ENOUGH)
        if not begin:
            raise no_mesh(path, "an empty file")
        if suffix in _NO_MESH:
            raise no_mesh(path, f"a file named {suffix}")
        if not begin.lstrip().startswith(_OPENINGS.get(suffix, b"")):
            raise no_mesh(path, f"a file that does not begin as a {suffix[1:]} does")
        is_whole = len(begin) < _ENOUGH  # else the first vertex may come behind a long preface
        if suffix == ".obj" and is_whole and not any(line.split()[:1] == [b"v"] for line in begin.splitlines()):
            raise no_mesh(path, "an obj without vertices")


def no_mesh(path: Path | str, got: str) -> DataError:
    """The error for a file that is no mesh."""
    return DataError(f"{path}: expected a ply, obj, glb, stl or off mesh, got {got}. {MESH_HINT}")
