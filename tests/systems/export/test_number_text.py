"""Numbers written as text come back through Python's own reader."""

import numpy as np
import pytest

from systems.export import number_text
from systems.export.number_text import format_rows


def joined(*args, **options) -> str:
    return b"".join(format_rows(*args, **options)).decode("ascii")


@pytest.mark.parametrize("decimals", [0, 1, 5, 12])
def test_values_come_back_as_they_were_rounded(decimals: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3000, 4)) * 10.0 ** rng.integers(-6, 5, size=(3000, 4))
    lines = joined("v", values, [decimals] * 4).splitlines()
    assert all(line.startswith("v ") for line in lines)
    back = np.array([line.split()[1:] for line in lines], np.float64)
    np.testing.assert_allclose(back, np.round(values, decimals), rtol=0, atol=1e-6 * 10.0**-decimals)


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [
        (0.0, 3, "0"),
        (-0.0001, 3, "0"),
        (1.0, 8, "1"),
        (-1.5, 3, "-1.5"),
        (0.05, 2, "0.05"),
        (100.0, 2, "100"),
        (120, 0, "120"),
        (-0.999, 2, "-1"),
        (5_812_345.25, 5, "5812345.25"),
    ],
)
def test_numbers_are_short(value: float, decimals: int, expected: str) -> None:
    assert joined("x", np.array([[value]]), [decimals]) == f"x {expected}\n"


def test_columns_have_their_own_decimals_and_faces_their_slashes() -> None:
    assert joined("v", np.array([[0.123456, 0.123456]]), [2, 4]) == "v 0.12 0.1235\n"
    corners = np.array([[1, 20, 3]])
    assert joined("f", corners.repeat(2, 1), [0] * 6, ["//", " "] * 3) == "f 1//1 20//20 3//3\n"
    assert joined("f", corners.repeat(3, 1), [0] * 9, ["/", "/", " "] * 3) == "f 1/1/1 20/20/20 3/3/3\n"


def test_parts_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_text, "ROWS", 7)
    numbers = np.arange(100)[:, None]
    assert joined("n", numbers, [0]) == "".join(f"n {i}\n" for i in range(100))
    assert joined("n", numbers[:0], [0]) == ""
