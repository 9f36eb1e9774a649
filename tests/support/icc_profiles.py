"""ICC profiles of a few lines, written byte by byte: RGB of any primaries, grey, and CMYK of plain inks."""

import struct
from itertools import product

import numpy as np

P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)  # x, y of red, green and blue
SRGB = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
_D65, _D50 = np.array([0.95046, 1.0, 1.08906]), np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def to_xyz(primaries: tuple[float, ...]) -> np.ndarray:
    """(3, 3) from linear red, green and blue of white D65 to XYZ."""
    xy = np.array(primaries).reshape(3, 2)
    columns = np.concatenate([xy, 1.0 - xy.sum(axis=1, keepdims=True)], axis=1).T / xy[:, 1]
    return columns * np.linalg.solve(columns, _D65)


def rgb_profile(primaries: tuple[float, ...], gamma: float, name: str = "Test RGB") -> bytes:
    """A profile of RGB pixels with these primaries, white D65 and this exponent."""
    adapt = np.linalg.solve(_BRADFORD, np.diag((_BRADFORD @ _D50) / (_BRADFORD @ _D65)) @ _BRADFORD)
    columns = (adapt @ to_xyz(primaries)).T
    tags = {tag: _xyz(column) for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    return _file(b"mntr", b"RGB ", name, tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma)))


def grey_profile(gamma: float) -> bytes:
    """A profile of grey pixels with this exponent."""
    return _file(b"mntr", b"GRAY", "Test grey", {b"kTRC": _curve(gamma)})


def cmyk_profile() -> bytes:
    """A profile of pixels of four inks: Lab is linear between white, the inks and black, all without a hue but cyan."""
    linear = np.arange(256, dtype=np.uint8).tobytes()
    grid = b""
    for cyan, magenta, yellow, black in product((0, 1), repeat=4):
        lightness = 0 if black else 255 - 60 * (cyan + magenta + yellow)
        grid += bytes([max(lightness, 0), 128 - 60 * cyan * (1 - black), 128])
    head = struct.pack(">4s4xBBBx9i", b"mft1", 4, 3, 2, *(round(65536 * value) for value in np.eye(3).ravel()))
    return _file(b"prtr", b"CMYK", "Test inks", {b"A2B0": head + 4 * linear + grid + 3 * linear}, b"Lab ")


def _curve(gamma: float) -> bytes:
    return struct.pack(">4s4xIHxx", b"curv", 1, round(256 * gamma))


def _xyz(values: np.ndarray) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(65536 * value) for value in values))


def _file(kind: bytes, space: bytes, name: str, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ") -> bytes:
    text = name.encode() + b"\0"
    tags = {b"desc": struct.pack(">4s4xI", b"desc", len(text)) + text + bytes(78), b"wtpt": _xyz(_D50)} | tags
    table, body = struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s", 128 + len(table) + len(body), 0x02400000, kind, space, pcs, b"acsp")
    return head.ljust(68, b"\0") + _xyz(_D50)[8:].ljust(60, b"\0") + table + body
