"""Checks the cameras of a COLMAP model before COLMAP's own reader sees them, and reads names that it cuts short.

COLMAP ends the whole process over a camera that it does not know or that has no focal length, as panoramas have none;
of a name in images.txt it reads what stands before the first space.
Layouts: https://colmap.github.io/format.html."""

import struct
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.geometry.lens import refuse_panorama
from utils.errors import DataError
from utils.packages import require

if TYPE_CHECKING:
    import pycolmap

_BINARY = ("cameras.bin", "images.bin", "points3D.bin")
_HEAD = struct.Struct("<IiQQ")  # of a camera: its number, that of its model, width, height


@cache
def num_params() -> dict[int, int]:
    """The number of parameters of each camera model that this COLMAP knows, by the model's number."""
    return {int(camera.model): len(camera.params) for camera in _examples().values()}


@cache
def _examples() -> dict[str, "pycolmap.Camera"]:
    """A camera of each model that this COLMAP knows, by the model's name."""
    pycolmap = require("pycolmap")
    names = [name for name in pycolmap.CameraModelId.__members__ if name != "INVALID"]
    return {name: pycolmap.Camera.create_from_model_name(1, name, 1.0, 2, 2) for name in names}


def require_lens(model: str, where: str) -> None:
    """Raises DataError unless a model of COLMAP, by its name, is known here and is a lens with a focal length."""
    refuse_panorama(model, where)
    if model not in _examples() or not len(_examples()[model].focal_length_idxs()):
        raise DataError(
            f"{where}: expected a camera model that pycolmap {version('pycolmap')} knows, got {model}. Undistort "
            f"the images with the COLMAP that made the model (colmap image_undistorter), and give that folder; or "
            f"update pycolmap."
        )


def check_cameras(folder: Path) -> None:
    """Raises DataError where the model in a folder, binary or text, has a camera that COLMAP's reader must not see.

    A binary file that ends too early is left to `check_sizes`."""
    _check_files(folder, ".txt" if is_text(folder) else ".bin")
    if is_text(folder):
        _check_text(folder / "cameras.txt")
    elif (folder / "cameras.bin").is_file():
        names = {int(camera.model): name for name, camera in _examples().items()} | {17: "EQUIRECTANGULAR"}
        for camera, model in _binary_cameras((folder / "cameras.bin").read_bytes()):
            require_lens(names.get(model, f"the number {model}"), f"{folder / 'cameras.bin'}, camera {camera}")


def _binary_cameras(content: bytes) -> Iterator[tuple[int, int]]:
    """The numbers of the cameras in cameras.bin and those of their models, up to the first unknown model."""
    end = 8
    while end + _HEAD.size <= len(content) and content[:8] != bytes(8):
        camera, model, _, _ = _HEAD.unpack_from(content, end)
        yield camera, model
        if model not in num_params():
            return
        end += _HEAD.size + 8 * num_params()[model]


def _check_files(folder: Path, kind: str) -> None:
    """Raises DataError for a file of a model that is missing, or a text that begins with a byte-order mark."""
    for path in (folder / f"{stem}{kind}" for stem in ("cameras", "images", "points3D")):
        if not path.is_file():
            raise DataError(
                f"{path}: no such file. A COLMAP model consists of cameras, images and points3D, as .bin or as .txt; "
                f"copy all three. In a model of text, an empty points3D.txt will do."
            )
        with open(path, "rb") as file:
            if file.read(3) == b"\xef\xbb\xbf":
                raise DataError(
                    f"{path}: expected text without a byte-order mark, which COLMAP cannot read. Save it as UTF-8 "
                    f"without BOM."
                )


def _check_text(path: Path) -> None:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where, words = f"{path}, line {number}", line.split()
        if len(words) < 4 or not words[0].isdigit():
            raise DataError(f"{where}: expected CAMERA_ID MODEL WIDTH HEIGHT PARAMS, got {line.strip()[:80]!r}.")
        require_lens(words[1], where)
        expected = len(_examples()[words[1]].params)
        if len(words) - 4 != expected or not all(_is_number(word) for word in words[2:]):
            raise DataError(
                f"{where}: expected width, height and {expected} parameters of {words[1]}, got "
                f"{' '.join(words[2:])!r}. Export the model again."
            )


def is_text(folder: Path) -> bool:
    """Whether COLMAP reads the text files of a folder: it prefers binary ones where all three are there."""
    return (folder / "cameras.txt").is_file() and not all((folder / name).is_file() for name in _BINARY)


def read_names(folder: Path) -> dict[int, str]:
    """The whole names in images.txt by the numbers of the images; empty for a binary model. Raises DataError."""
    names, is_head = {}, True
    path = folder / "images.txt"
    if not is_text(folder) or not path.is_file():
        return {}
    for line in _lines(path):
        if is_head and (not line.strip() or line.lstrip().startswith("#")):
            continue
        if is_head:
            words = line.strip().split(maxsplit=9)
            if len(words) == 10 and words[0].isdigit():
                names[int(words[0])] = words[9]
        elif not all(_is_number(word) for word in line.split()[:10]):
            raise DataError(
                f"{path}: expected two lines for each image, the second with its points or empty, got "
                f"{line.strip()[:80]!r} as a second one. Write an empty line after the line of each image without "
                f"points."
            )
        is_head = not is_head  # the next line holds the points of this image, and may be empty
    return names


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig", errors="surrogateescape").split("\n")
    except OSError as error:
        raise DataError(
            f"{path}: expected a text file of a COLMAP model, got one that cannot be read ({error})."
        ) from error


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
