"""Relit surfaces are compared with the truth but for one factor of each channel."""

import numpy as np
import pytest

from benchmarks.scenes.lights import LIGHTS, lamps_from_afar, map_directions
from benchmarks.scenes.materials import RED_SAND_GREEN, SURFACES
from benchmarks.scenes.relit import aligned, psnr
from utils.images import srgb_from_linear


def test_a_factor_of_each_channel_does_not_count() -> None:
    matt, gloss = np.random.default_rng(0).uniform(0.05, 0.3, (2, 200, 3))
    truth = srgb_from_linear(matt * [0.5, 1.0, 2.0] + gloss)
    factors, shown = aligned(matt, gloss, truth)
    assert factors == pytest.approx([0.5, 1.0, 2.0], rel=1e-3)
    assert psnr(shown, truth) > 60.0


def test_lights_differ_and_shine_from_where_they_say() -> None:
    toward = map_directions(24)
    np.testing.assert_allclose(np.linalg.norm(toward, axis=-1), 1.0)
    day, evening = (LIGHTS[name].sky(toward).sum(axis=-1) for name in ("day", "evening"))
    assert day[:12].mean() > 3.0 * day[12:].mean()  # from above
    assert toward.reshape(-1, 3)[evening.argmax()] @ [-0.75, -0.55, 0.35] > 0.98


def test_a_lamp_stands_in_the_map_where_it_stands_in_the_scene() -> None:
    toward = map_directions(96)
    shine = lamps_from_afar(LIGHTS["day"], toward)[..., 0]
    angles = np.sin((np.arange(96) + 0.5) / 96 * np.pi) * (np.pi / 96) ** 2  # solid, of each row
    for place, half, radiance in LIGHTS["day"].lamps:
        distance = np.linalg.norm(place)
        own = toward @ (np.array(place) / distance) > np.cos(2.0 * half / distance)
        assert shine[own].max() == radiance[0]
        solid = ((shine > 0.0) & own).sum(axis=1) @ angles
        assert solid == pytest.approx(4.0 * half**2 / distance**2, rel=0.15)
    assert not lamps_from_afar(LIGHTS["noon"], toward).any()


def test_surfaces_have_parts_of_known_roughness_and_two_lights() -> None:
    painted = RED_SAND_GREEN(np.random.default_rng(0).uniform(-1.0, 1.0, (500, 3)))
    red, sand = painted["color"][:, 0] == 0.5, painted["color"][:, 0] == 0.6
    assert red.any()
    assert sand.any()
    assert (painted["rough"][red] == 0.15).all()
    assert (painted["rough"][sand] == 0.9).all()
    assert all(surface.first != surface.second for surface in SURFACES.values())
    assert {surface.first for surface in SURFACES.values()} == set(LIGHTS)


@pytest.mark.parametrize("name", ["dark", "bright"])
def test_shapes_of_formulas_are_closed_and_lie_within_the_unit_ball(name: str) -> None:
    mesh = SURFACES[name].make(32)
    edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert np.linalg.norm(mesh.vertices, axis=1).max() < 1.0
