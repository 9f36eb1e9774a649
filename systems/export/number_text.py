"""Formats arrays of numbers as lines of text, fast enough for meshes of millions of triangles."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from utils.numba_cache import cached_njit

ROWS = 2**15  # formatted at a time
_WIDEST = 24  # bytes of one number and its separator: 19 digits, a sign, a point, two characters
_NEWLINE, _MINUS, _POINT, _ZERO = (np.uint8(ord(c)) for c in "\n-.0")


def format_rows(
    prefix: str, values: np.ndarray, decimals: list[int], separators: Sequence[str] | None = None
) -> Iterator[bytes]:
    """Yields the rows of values (N, C) as lines `prefix a b c ...`, many lines at a time.

    Numbers have no exponent and no trailing zeros. decimals: (C,) decimals of each column, 0 for whole numbers; a value
    times 10^decimals must fit into 63 bits. separators: one or two characters after each column, by default a space;
    the last one is not written."""
    start = np.frombuffer(f"{prefix} ".encode("ascii"), np.uint8)
    rounded = np.array(decimals, np.int64)
    behind = np.zeros((values.shape[1], 2), np.uint8)  # 0: no second character
    for column, text in enumerate(separators or " " * values.shape[1]):
        behind[column, : len(text)] = list(text.encode("ascii"))

    def text(first: int) -> bytes:
        part = values[first : first + ROWS]
        scaled = np.rint(part * 10.0**rounded).astype(np.int64) if part.dtype.kind == "f" else part.astype(np.int64)
        buffer = np.empty(len(part) * (len(start) + _WIDEST * part.shape[1]), np.uint8)
        return buffer[: _fill(buffer, start, scaled, rounded, behind)].tobytes()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(text, range(0, len(values), ROWS))


@cached_njit(nogil=True)
def _fill(buffer, start, scaled, decimals, behind):
    """Writes all rows; returns the number of bytes."""
    at = 0
    for row in range(scaled.shape[0]):
        for byte in start:
            buffer[at] = byte
            at += 1
        for column in range(scaled.shape[1]):
            at = _number(buffer, at, scaled[row, column], decimals[column])
            if column + 1 < scaled.shape[1]:
                buffer[at], buffer[at + 1] = behind[column]
                at += 2 if behind[column, 1] > 0 else 1
            else:
                buffer[at] = _NEWLINE
                at += 1
    return at


@cached_njit(nogil=True)
def _number(buffer, at, value, decimals):
    """Writes value / 10^decimals at an index of the buffer; returns the index after it."""
    if value < 0:
        buffer[at] = _MINUS
        at, value = at + 1, -value
    while decimals > 0 and value % 10 == 0:  # trailing zeros
        value, decimals = value // 10, decimals - 1
    digits, rest = 1, value // 10
    while rest > 0 or digits <= decimals:  # at least one digit before the point
        digits, rest = digits + 1, rest // 10
    end = at + digits + (1 if decimals > 0 else 0)
    for index in range(end - 1, at - 1, -1):
        if decimals > 0 and end - 1 - index == decimals:
            buffer[index] = _POINT
        else:
            buffer[index] = _ZERO + np.uint8(value % 10)
            value //= 10
    return end
