"""Surfaces whose materials are known, and the lights that they are photographed and shown under."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.scenes.hard import PAINTED, SCENES, Paint, waves
from benchmarks.scenes.shapes import cow, cup, knot
from utils.mesh import Mesh

RESOLUTION = 80  # lattice points along an edge of the shapes that are formulas
PARTS = {
    "type": "principled",
    "base_color": {"type": "mesh_attribute", "name": "vertex_color"},
    "roughness": {"type": "mesh_attribute", "name": "vertex_rough"},
}


@dataclass(frozen=True)
class Surface:
    """A mesh with a material, photographed under one light, judged under another."""

    make: Callable[[int], Mesh]
    material: dict[str, Any]
    paint: Paint = waves
    first: str = "day"
    second: str = "evening"
    photographs: int = 24


def patches(albedos: tuple[tuple[float, ...], ...], roughness: tuple[float, ...], turn: float = 0.0) -> Paint:
    """Patches with sharp rims, each of one of several albedos and of its roughness; turn: of the waves, in radians."""

    def paint(points: np.ndarray) -> dict[str, np.ndarray]:
        x, y, z = points.T
        wave = np.sin(5.0 * x + 3.0 * z + turn) + np.sin(6.0 * y + 2.0 * turn) + np.sin(4.0 * z - 2.0 * x + 3.0 * turn)
        part = np.digitize(wave, np.linspace(-1.6, 1.6, len(albedos) + 1)[1:-1])
        return {"color": np.array(albedos)[part], "rough": np.array(roughness)[part, None]}

    return paint


RED_SAND_GREEN = patches(((0.5, 0.05, 0.04), (0.6, 0.5, 0.35), (0.1, 0.3, 0.12)), (0.15, 0.9, 0.4))
DARK = patches(((0.04, 0.04, 0.05), (0.03, 0.06, 0.2), (0.25, 0.03, 0.03)), (0.35,) * 3)
CHALK_AND_OCHRE = patches(((0.8, 0.78, 0.74), (0.75, 0.55, 0.2)), (0.9,) * 2)
BLUE_YELLOW_GREY = patches(((0.1, 0.2, 0.5), (0.7, 0.6, 0.1), (0.6, 0.6, 0.6)), (0.5,) * 3, 1.0)
SURFACES = {
    "painted": Surface(*SCENES["painted"]),
    "varnish": Surface(*SCENES["varnish"]),
    "parts": Surface(lambda _: cow(), PARTS, RED_SAND_GREEN),  # glossy red, matt sand, green between them
    "dark": Surface(knot, PARTS, DARK, "studio", "day", 16),
    "bright": Surface(cup, PARTS, CHALK_AND_OCHRE, "evening", "studio"),
    "few": Surface(lambda _: cow(), PARTS, BLUE_YELLOW_GREY, "noon", "evening", 8),
    "swapped": Surface(lambda _: cow(), PAINTED, waves, "evening", "day", 16),
}
