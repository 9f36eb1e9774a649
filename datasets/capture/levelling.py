"""The frame of a prepared folder: what the object stands on is z = 0, +z is up, and the object is above the origin."""

import logging
from dataclasses import dataclass

import numpy as np

from datasets.capture.region.estimate_region import estimate_region
from datasets.capture.sparse_model import SparseModel
from datasets.geometry.normalise import rotation_to_z
from utils.errors import DataError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Levelling:
    """A rigid motion, x -> rotation @ x + translation, from the frame of a sparse model to the upright one."""

    rotation: np.ndarray  # (3, 3) float64
    translation: np.ndarray  # (3,) float64, in the units of the model
    on_ground: bool  # whether z = 0 is the support plane; else the middle of the object is at the origin


def find_levelling(model: SparseModel, on_disc: bool = False) -> Levelling | None:
    """The motion that stands a sparse model upright; None, with the reason logged, where no object can be told.

    The support plane, where there is one, becomes z = 0 with the cameras above it, and the middle of the object comes
    to x = y = 0; else its middle comes to the origin. The first camera comes to x = 0, y < 0, so that the way it looks
    is +y. on_disc: see `estimate_region`."""
    try:
        region = estimate_region(model, on_disc)
    except DataError as error:
        log.info("  not levelled: %s", error)
        return None
    upright = rotation_to_z(region.up if region.ground is None else region.ground.normal)
    x, y, _ = upright @ (model.c2w[0, :, 3] - region.center)
    turn = -np.pi / 2.0 - np.arctan2(y, x)
    cos, sin = np.cos(turn), np.sin(turn)
    rotation = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]) @ upright
    foot = region.center if region.ground is None else region.ground.project(region.center)
    return Levelling(rotation, -rotation @ foot, region.ground is not None)
