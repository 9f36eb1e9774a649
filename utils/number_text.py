"""Tables of numbers as lines of text, fast enough for meshes of millions of triangles."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

ROWS = 2**15  # formatted at a time
_WIDEST = 24  # bytes of one number with what follows it: 19 digits, a sign, a point, two of a separator
_SPACE, _SLASH, _NEWLINE, _MINUS, _POINT, _ZERO = (np.uint8(ord(c)) for c in " /\n-.0")


def format_rows(prefix: str, values: np.ndarray, decimals: list[int], slashes: bool = False) -> Iterator[bytes]:
    """Lines `prefix a b c ...` of the rows of values (N, C), in parts; numbers without an exponent or closing zeros.

    decimals: (C,) that each column is rounded to; whole numbers are given with 0. A value times 10^decimals must fit
    63 bits. slashes: each number is
    written twice, as a//a, the way OBJ faces name a vertex and its normal."""
    start = np.frombuffer(f"{prefix} ".encode("ascii"), np.uint8)
    places = np.array(decimals, np.int64)

    def text(first: int) -> bytes:
        part = values[first : first + ROWS]
        scaled = np.rint(part * 10.0**places).astype(np.int64) if part.dtype.kind == "f" else part.astype(np.int64)
        width = len(start) + (2 if slashes else 1) * _WIDEST * part.shape[1]
        buffer = np.empty(len(part) * width, np.uint8)
        return buffer[: _fill(buffer, start, scaled, places, slashes)].tobytes()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(text, range(0, len(values), ROWS))


@njit(cache=True, nogil=True)
def _fill(buffer, start, scaled, decimals, slashes):
    """Writes all rows; returns the number of bytes."""
    at = 0
    for row in range(scaled.shape[0]):
        for byte in start:
            buffer[at] = byte
            at += 1
        for column in range(scaled.shape[1]):
            at = _number(buffer, at, scaled[row, column], decimals[column])
            if slashes:
                buffer[at] = _SLASH
                buffer[at + 1] = _SLASH
                at = _number(buffer, at + 2, scaled[row, column], decimals[column])
            buffer[at] = _SPACE
            at += 1
        buffer[at - 1] = _NEWLINE
    return at


@njit(cache=True, nogil=True)
def _number(buffer, at, value, decimals):
    """Writes value / 10^decimals; returns where it ends."""
    if value < 0:
        buffer[at] = _MINUS
        at, value = at + 1, -value
    while decimals > 0 and value % 10 == 0:  # closing zeros
        value, decimals = value // 10, decimals - 1
    digits, rest = 1, value // 10
    while rest > 0 or digits <= decimals:  # one digit at least before the point
        digits, rest = digits + 1, rest // 10
    end = at + digits + (1 if decimals > 0 else 0)
    for place in range(end - 1, at - 1, -1):
        if decimals > 0 and end - 1 - place == decimals:
            buffer[place] = _POINT
        else:
            buffer[place] = _ZERO + np.uint8(value % 10)
            value //= 10
    return end
