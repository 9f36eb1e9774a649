"""Checks that the binary files of a COLMAP model are as long as their counts say; COLMAP's own reader trusts them.

A truncated or malicious file otherwise keeps the reader busy for hours or fills the memory.
Layouts: https://colmap.github.io/format.html, and COLMAP's reconstruction_io_binary.cc for rigs and frames."""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path

from datasets.files.colmap_cameras import num_params
from utils.errors import DataError

_COUNT = struct.Struct("<Q")
_CAMERA_MODEL = struct.Struct("<i")
_POSE = 56  # bytes of seven doubles
_MAX_NAME = 4096


class _Cursor:
    """A position in a file that only moves forward, and never beyond the end."""

    def __init__(self, content: mmap.mmap | bytes) -> None:
        self.content, self.position = content, 0

    def skip(self, size: int) -> None:
        self.position += size
        if self.position > len(self.content):
            raise ValueError(f"its counts require at least {self.position} bytes, it has {len(self.content)}")

    def read(self, kind: struct.Struct) -> int:
        begin = self.position
        self.skip(kind.size)
        return kind.unpack_from(self.content, begin)[0]

    def skip_name(self) -> None:
        end = self.content.find(b"\0", self.position, self.position + _MAX_NAME)
        if end < 0:
            raise ValueError("a name has no end")
        self.position = end + 1


def _cameras(cursor: _Cursor) -> None:
    for _ in range(cursor.read(_COUNT)):
        cursor.skip(4)
        model = cursor.read(_CAMERA_MODEL)
        if model not in num_params():
            raise ValueError(f"a camera has the unknown model {model}")
        cursor.skip(16 + 8 * num_params()[model])


def _images(cursor: _Cursor) -> None:
    for _ in range(cursor.read(_COUNT)):
        cursor.skip(4 + _POSE + 4)
        cursor.skip_name()
        cursor.skip(24 * cursor.read(_COUNT))


def _points(cursor: _Cursor) -> None:
    for _ in range(cursor.read(_COUNT)):
        cursor.skip(43)
        cursor.skip(8 * cursor.read(_COUNT))


def _rigs(cursor: _Cursor) -> None:
    number = struct.Struct("<I")
    for _ in range(cursor.read(_COUNT)):
        cursor.skip(4)
        sensors = cursor.read(number)
        cursor.skip(8 if sensors else 0)  # the reference sensor
        for _ in range(max(sensors - 1, 0)):
            cursor.skip(8)
            cursor.skip(_POSE if cursor.read(struct.Struct("<B")) else 0)


def _frames(cursor: _Cursor) -> None:
    number = struct.Struct("<I")
    for _ in range(cursor.read(_COUNT)):
        cursor.skip(8 + _POSE)
        cursor.skip(16 * cursor.read(number))


_LAYOUTS: dict[str, Callable[[_Cursor], None]] = {
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
                cursor = _Cursor(content)
                layout(cursor)
                if cursor.position != len(content):
                    raise ValueError(f"it has {len(content)} bytes, its counts require {cursor.position}")
        except (OSError, ValueError) as error:  # mmap refuses an empty file with a ValueError
            raise DataError(
                f"{path}: expected a complete file of a COLMAP model, got one that is truncated or damaged ({error}). "
                f"Copy it again, or run COLMAP's mapper again."
            ) from error
