"""Lights for generated photographs: what comes from far away, by direction, and lamps that stand near the object."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Radiance = Callable[[np.ndarray], np.ndarray]  # unit directions (..., 3), z up -> (..., 3) linear RGB


@dataclass(frozen=True)
class Light:
    """All that shines on an object around the origin."""

    sky: Radiance
    lamps: tuple[tuple[tuple[float, ...], float, tuple[float, ...]], ...] = ()  # squares: place, half edge, radiance


def map_directions(height: int) -> np.ndarray:
    """(H, 2H, 3) unit directions of the texels of a map of all directions: from +z down, and from +y towards +x."""
    fall = ((np.arange(height) + 0.5) / height * np.pi)[:, None]
    turn = ((np.arange(2 * height) + 0.5) / height * np.pi)[None, :]
    ring, rise = np.sin(fall) * np.ones_like(turn), np.cos(fall) * np.ones_like(turn)
    return np.stack([ring * np.sin(turn), ring * np.cos(turn), rise], axis=-1)


def striped_sky(directions: np.ndarray) -> np.ndarray:
    """Bright above and dark below, with stripes above and below the horizon that gloss mirrors."""
    rise = directions[..., 2:]
    turn = np.arctan2(directions[..., :1], directions[..., 1:2])
    sky = np.where(rise > 0.0, 0.5 + 0.6 * rise, 0.18 + 0.1 * rise) * [0.85, 0.95, 1.1]
    return sky * np.where((np.sin(6.0 * turn) > 0.3) & (np.abs(rise) < 0.5), 0.5, 1.0)


def evening_sky(directions: np.ndarray) -> np.ndarray:
    """A large warm sun near the horizon, a cool window opposite, little else."""
    rise = directions[..., 2:]
    sky = np.where(rise > 0.0, 0.22 + 0.12 * rise, 0.12) * [0.8, 0.9, 1.2]
    lamps = (((-0.75, -0.55, 0.35), 40.0, (14.0, 9.5, 6.0)), ((0.6, 0.75, 0.3), 15.0, (0.8, 1.4, 2.2)))
    for toward, sharpness, light in lamps:
        cosine = directions @ (np.array(toward) / np.linalg.norm(toward))
        sky = sky + np.exp(sharpness * (cosine[..., None] - 1.0)) * np.array(light)
    return sky


def studio_sky(directions: np.ndarray) -> np.ndarray:
    """Two large soft boxes in front, a narrow one behind, a grey room."""
    sky = 0.3 + 0.1 * directions[..., 2:] * np.ones(3)
    boxes = (
        ((0.8, -0.5, 0.5), 0.85, (4.0, 3.9, 3.7)),
        ((-0.3, -0.9, 0.3), 0.9, (1.5, 1.6, 1.8)),
        ((-0.2, 0.9, 0.6), 0.97, (5.0, 5.0, 5.0)),
    )
    for toward, cosine, light in boxes:
        seen = directions @ (np.array(toward) / np.linalg.norm(toward))
        sky = sky + (seen[..., None] > cosine) * np.array(light)
    return sky


def noon_sky(directions: np.ndarray) -> np.ndarray:
    """A small sun high up, a blue sky, ground that gives light back."""
    rise = directions[..., 2:]
    sky = np.where(rise > 0.0, [0.35, 0.45, 0.65], [0.22, 0.2, 0.16])
    cosine = directions @ (np.array([0.3, 0.4, 0.87]) / np.linalg.norm([0.3, 0.4, 0.87]))
    return sky + np.exp(150.0 * (cosine[..., None] - 1.0)) * np.array([55.0, 52.0, 46.0])


def lamps_from_afar(light: Light, directions: np.ndarray) -> np.ndarray:
    """(..., 3) radiance of the lamps of a light in unit directions (..., 3), as the origin sees them."""
    found = np.zeros_like(directions)
    for place, half, radiance in light.lamps:
        centre = np.array(place)
        away = centre / np.linalg.norm(centre)
        aside = np.cross([0.1, 0.2, 1.0], -away)
        aside /= np.linalg.norm(aside)
        facing = directions @ away
        across = directions * (np.linalg.norm(centre) / np.maximum(facing, 0.1))[..., None] - centre
        reach = np.maximum(np.abs(across @ aside), np.abs(across @ np.cross(away, aside)))
        found += ((facing > 0.1) & (reach <= half))[..., None] * np.array(radiance)
    return found


LIGHTS = {
    "day": Light(
        striped_sky,
        (
            ((4.0, -5.0, 7.0), 1.2, (9.0, 8.5, 8.0)),
            ((-6.0, 3.0, 4.0), 1.0, (5.0, 5.5, 6.0)),
            ((1.0, 7.0, 2.0), 0.8, (4.0, 4.0, 4.0)),
        ),
    ),
    "evening": Light(evening_sky),
    "studio": Light(studio_sky),
    "noon": Light(noon_sky),
}
