"""Tables line up: the first column to the left, the others to the right, however long a row is."""

from utils.terminal.text_table import format_table


def test_columns_line_up():
    assert format_table([["", "mean"], ["accuracy", "0.5"], ["x", "1.25", "mm"]]) == (
        "          mean\naccuracy   0.5\nx         1.25  mm"
    )
