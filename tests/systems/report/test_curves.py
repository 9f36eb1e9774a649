"""Curves keep within their plot, labels stand where their values are, and long curves are thinned."""

import numpy as np
import pytest

from systems.report.curves import Curve, plot


def curve(values, steps=None):
    return Curve(
        np.arange(len(values), dtype=float) if steps is None else np.array(steps, float), np.array(values, float)
    )


def points(line):
    return np.array([[float(x) for x in pair.split(",")] for pair in line.points.split()])


def test_ticks_lie_on_the_curve_that_they_measure():
    found = plot("psnr", {"a": curve([10, 20, 30], [0, 50, 100])})
    places = dict(zip((0, 50, 100), points(found.lines[0]), strict=True))
    across = {tick.label: tick.at for tick in found.x_ticks}
    upward = {tick.label: tick.at for tick in found.y_ticks}
    assert (across["100"], upward["30"]) == pytest.approx(tuple(places[100]), abs=0.06)
    assert (across["0"], upward["10"]) == pytest.approx(tuple(places[0]), abs=0.06)
    assert places[0][1] > places[100][1]  # up is less
    assert found.lines[0].last == 30.0


def test_logarithms_are_even_and_leave_out_what_has_none():
    found = plot("loss", {"a": curve([0.0, 1.0, 0.1, 0.01, -1.0]), "none": curve([0.0, 0.0])}, logarithmic=True)
    assert [line.name for line in found.lines] == ["a"]
    heights = points(found.lines[0])[:, 1]
    assert np.diff(heights) == pytest.approx([heights[1] - heights[0]] * 2, abs=0.11)
    assert {"0.01", "0.1", "1"} <= {tick.label for tick in found.y_ticks}


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.03, 0.3], ["0.05", "0.1", "0.2"]),
        ([0.0015, 0.4], ["0.003", "0.01", "0.03", "0.1", "0.3"]),
        ([1e-9, 1.0], ["1e-08", "1e-06", "0.0001", "0.01", "1"]),
        ([0.31, 0.33], ["0.31", "0.315", "0.32", "0.325", "0.33"]),
    ],
)
def test_logarithms_have_round_labels(values, labels):
    assert [tick.label for tick in plot("loss", {"a": curve(values)}, logarithmic=True).y_ticks] == labels


@pytest.mark.parametrize("values", [[5.0], [5.0] * 7, [0.0, 0.0], [1e9, 1e9 + 1], [-1e-9, 1e-9]])
def test_whatever_comes_stays_in_the_frame(values):
    found = plot("any", {"a": curve(values)})
    left, top, right, bottom = found.box
    x, y = points(found.lines[0]).T
    assert left <= x.min() <= x.max() <= right
    assert top <= y.min() <= y.max() <= bottom
    assert len(found.y_ticks) <= 7
    assert all(top - 0.1 <= tick.at <= bottom + 0.1 for tick in found.y_ticks)


def test_long_curves_are_thinned_to_their_end_and_colours_differ():
    found = plot("many", {str(k): curve(np.linspace(0, 1, 10_001)) for k in range(20)})
    assert 300 < len(points(found.lines[0])) <= 600
    assert points(found.lines[0])[-1] == pytest.approx([found.box[2], found.box[1]])
    assert len({line.color for line in found.lines[:8]}) == 8
    assert len({(line.color, line.dash) for line in found.lines}) == 20
    assert len(found.lines) == 20


def test_nothing_gives_no_plot():
    assert plot("nothing", {}) is None
    assert plot("nothing", {"a": curve([])}) is None
