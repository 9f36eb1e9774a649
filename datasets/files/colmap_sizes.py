"""Whether the binary files of a COLMAP model hold as much as they announce; its own reader trusts their counts.

A file that was cut off, or one that wants to do harm, otherwise keeps the reader busy for hours or fills the memory.
Layouts: https://colmap.github.io/format.html, and COLMAP's reconstruction_io_binary.cc for rigs and frames."""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path

import pycolmap

from utils.errors import DataError

_COUNT = struct.Struct("<Q")
_CAMERA_MODEL = struct.Struct("<i")
_POSE = 56  # bytes of seven doubles
_LONGEST_NAME = 4096


class _Walk:
    """A place in a file that only moves forward, and never beyond the end."""

    def __init__(self, content: mmap.mmap | bytes) -> None:
        self.content, self.place = content, 0

    def skip(self, size: int) -> None:
        self.place += size
        if self.place > len(self.content):
            raise ValueError(f"it announces at least {self.place} bytes and has {len(self.content)}")

    def take(self, kind: struct.Struct) -> int:
        begin = self.place
        self.skip(kind.size)
        return kind.unpack_from(self.content, begin)[0]

    def skip_name(self) -> None:
        end = self.content.find(b"\0", self.place, self.place + _LONGEST_NAME)
        if end < 0:
            raise ValueError("a name has no end")
        self.place = end + 1


def _num_params() -> dict[int, int]:
    """Parameters of each camera model of COLMAP, by its number."""
    names = [name for name in pycolmap.CameraModelId.__members__ if name != "INVALID"]
    cameras = [pycolmap.Camera.create_from_model_name(1, name, 1.0, 2, 2) for name in names]
    return {int(camera.model): len(camera.params) for camera in cameras}


def _cameras(walk: _Walk) -> None:
    known = _num_params()
    for _ in range(walk.take(_COUNT)):
        walk.skip(4)
        model = walk.take(_CAMERA_MODEL)
        if model not in known:
            raise ValueError(f"a camera has the unknown model {model}")
        walk.skip(16 + 8 * known[model])


def _images(walk: _Walk) -> None:
    for _ in range(walk.take(_COUNT)):
        walk.skip(4 + _POSE + 4)
        walk.skip_name()
        walk.skip(24 * walk.take(_COUNT))


def _points(walk: _Walk) -> None:
    for _ in range(walk.take(_COUNT)):
        walk.skip(43)
        walk.skip(8 * walk.take(_COUNT))


def _rigs(walk: _Walk) -> None:
    number = struct.Struct("<I")
    for _ in range(walk.take(_COUNT)):
        walk.skip(4)
        sensors = walk.take(number)
        walk.skip(8 if sensors else 0)  # the one that the others refer to
        for _ in range(max(sensors - 1, 0)):
            walk.skip(8)
            walk.skip(_POSE if walk.take(struct.Struct("<B")) else 0)


def _frames(walk: _Walk) -> None:
    number = struct.Struct("<I")
    for _ in range(walk.take(_COUNT)):
        walk.skip(8 + _POSE)
        walk.skip(16 * walk.take(number))


_LAYOUTS: dict[str, Callable[[_Walk], None]] = {
    "cameras.bin": _cameras,
    "images.bin": _images,
    "points3D.bin": _points,
    "rigs.bin": _rigs,
    "frames.bin": _frames,
}


def check_sizes(folder: Path) -> None:
    """Raises DataError where a binary file of the model in a folder is shorter or longer than its counts say."""
    for name, layout in _LAYOUTS.items():
        path = folder / name
        if not path.is_file():
            continue
        try:
            with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                walk = _Walk(content)
                layout(walk)
                if walk.place != len(content):
                    raise ValueError(f"it has {len(content)} bytes and announces {walk.place}")
        except (OSError, ValueError) as error:  # mmap refuses an empty file with a ValueError
            raise DataError(
                f"{path}: expected a whole file of a COLMAP model, got one that is cut off or damaged ({error}). "
                f"Copy it again, or run COLMAP's mapper again."
            ) from error
