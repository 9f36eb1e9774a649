"""Turns curves into the lines, ticks and labels of an SVG plot, in pixel coordinates."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 30  # margins for the labels
_COLORS = "#3366cc", "#dc6900", "#109618", "#990099", "#0099c6", "#dd4477", "#66aa00", "#b82e2e"
_DASHES = "", "7 4", "2 3", "10 3 2 3"  # of SVG: lines of the same colour differ by them
_MAX_POINTS = 600  # of a curve


@dataclass(frozen=True)
class Curve:
    """Values over steps."""

    steps: np.ndarray  # (K,) float64, ascending
    values: np.ndarray  # (K,) float64, finite


@dataclass(frozen=True)
class PlotLine:
    """A curve in pixel coordinates."""

    name: str
    color: str
    dash: str  # stroke-dasharray of SVG; empty: it is drawn through
    points: str  # "x,y x,y ..." of an SVG polyline
    last: float  # the value at its end


@dataclass(frozen=True)
class Tick:
    """A labelled mark on an axis."""

    at: float  # pixels
    label: str


@dataclass(frozen=True)
class Plot:
    """Everything that a template needs to draw a plot."""

    title: str
    lines: list[PlotLine]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    box: tuple[int, int, int, int] = (_LEFT, _TOP, WIDTH - _RIGHT, HEIGHT - _BOTTOM)
    size: tuple[int, int] = (WIDTH, HEIGHT)


def plot(title: str, curves: Mapping[str, Curve], logarithmic: bool = False) -> Plot | None:
    """The curves in one plot; None if there is nothing to draw.

    logarithmic: the value axis is logarithmic, and values of 0 and less are left out."""
    kept = {name: _thinned(_positive(curve) if logarithmic else curve) for name, curve in curves.items()}
    kept = {name: curve for name, curve in kept.items() if len(curve.steps)}
    if not kept:
        return None
    scale = np.log10 if logarithmic else np.asarray
    steps = np.concatenate([curve.steps for curve in kept.values()])
    values = scale(np.concatenate([curve.values for curve in kept.values()]))
    span = _widened(0.0, float(steps.max())), _widened(float(values.min()), float(values.max()))
    lines = []
    for index, (name, curve) in enumerate(kept.items()):
        round_, hue = divmod(index, len(_COLORS))
        x, y = _x_pixels(curve.steps, span[0]), _y_pixels(scale(curve.values), span[1])
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        look = _COLORS[hue], _DASHES[round_ % len(_DASHES)]
        lines.append(PlotLine(name, *look, points, float(curve.values[-1])))
    x_ticks = [Tick(float(_x_pixels(value, span[0])), f"{value:g}") for value in _ticks(*span[0], 8)]
    marks = (_logarithmic_ticks if logarithmic else _ticks)(*span[1], 6)
    y_labels = [(value, f"{10.0**value if logarithmic else value:.3g}") for value in marks]
    return Plot(title, lines, x_ticks, [Tick(float(_y_pixels(value, span[1])), label) for value, label in y_labels])


def _positive(curve: Curve) -> Curve:
    return Curve(curve.steps[curve.values > 0.0], curve.values[curve.values > 0.0])


def _thinned(curve: Curve) -> Curve:
    """Every n-th point, including the last one, so that at most _MAX_POINTS are left."""
    stride = max(1, math.ceil(len(curve.steps) / _MAX_POINTS))
    first = (len(curve.steps) - 1) % stride if len(curve.steps) else 0
    return Curve(curve.steps[first::stride], curve.values[first::stride])


def _widened(low: float, high: float) -> tuple[float, float]:
    """The bounds, moved apart if they are nearly equal."""
    least = max(1e-6, 1e-3 * abs(high))
    return (low, high) if high - low > least else (low - least, high + least)


def _x_pixels(steps: np.ndarray | float, span: tuple[float, float]) -> np.ndarray:
    return _LEFT + (np.asarray(steps) - span[0]) / (span[1] - span[0]) * (WIDTH - _LEFT - _RIGHT)


def _y_pixels(values: np.ndarray | float, span: tuple[float, float]) -> np.ndarray:
    return HEIGHT - _BOTTOM - (np.asarray(values) - span[0]) / (span[1] - span[0]) * (HEIGHT - _TOP - _BOTTOM)


def _ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round numbers from low to high: multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= raw * (1.0 - 1e-9))
    return [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _logarithmic_ticks(low: float, high: float, most: int) -> list[float]:
    """Logarithms of at most `most` round numbers from 10^low to 10^high, as many for each power of ten as there is room
    for; evenly spaced numbers where the bounds are close."""
    for factors in ((1, 2, 5), (1, 3), (1,)):
        exponents = range(math.floor(low), math.floor(high) + 1)
        marks = [exponent + math.log10(factor) for exponent in exponents for factor in factors]
        marks = [mark for mark in marks if low - 1e-9 <= mark <= high + 1e-9]
        if len(marks) <= most:
            break
    else:
        return _ticks(low, high, most)
    return marks if len(marks) > 1 else [math.log10(value) for value in _ticks(10.0**low, 10.0**high, most)]
