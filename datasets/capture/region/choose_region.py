"""The region of interest from the best source: the user's numbers, the user's cleaned points, or the sparse model."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from datasets.capture.region.cluster_points import enclosing_ball
from datasets.capture.region.estimate_region import MARGIN, estimate_region
from datasets.capture.sparse_model import SparseModel
from datasets.geometry.axes import mean_up
from datasets.region import Region, parse_roi
from utils.errors import DataError
from utils.mesh.ply import read_vertices

log = logging.getLogger(__name__)
POINTS_FILE, INTEREST_FILE = "sparse_points.ply", "sparse_points_interest.ply"


def choose_region(
    model: SparseModel, roi: str | None = None, interest: Path | None = None, on_disc: bool = False
) -> Region:
    """The sphere that `roi` ("x,y,z,radius") gives, else the one around the vertices of the PLY file `interest`, else
    the one that `estimate_region` finds. Logs which.

    Estimates the up direction and the ground in all three cases. interest: need not exist; on_disc: see
    `estimate_region`. Raises InputError."""
    if roi is not None:
        center, radius = parse_roi(roi)
        region = _with_sphere(model, center, radius, "by --roi", on_disc)
    elif interest is not None and interest.is_file():
        center, radius = sphere_of_points(interest)
        region = _with_sphere(model, center, radius, f"the points of {interest.name}", on_disc)
    else:
        region = estimate_region(model, on_disc)
    log.info(
        "region of interest (%s): radius %.4g around (%.4g, %.4g, %.4g), with %d of %d points",
        *(region.method, region.radius, *region.center, region.contains(model.points).sum(), len(model.points)),
    )
    return region


def sphere_of_points(path: Path) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius of the sphere around all vertices of a PLY file, with a margin. Raises DataError."""
    points = read_vertices(path)
    center, radius = enclosing_ball(points) if len(points) else (np.zeros(3), 0.0)
    if radius <= 0.0:
        raise DataError(
            f"{path}: expected the points of the object, at least two, got {len(points)}. Open {POINTS_FILE} in "
            f"MeshLab, delete all that is not the object and save it under this name, or delete the file."
        )
    return center, MARGIN * radius


def _with_sphere(model: SparseModel, center: np.ndarray, radius: float, method: str, on_disc: bool) -> Region:
    """The user's sphere with an estimated up direction and ground."""
    try:
        estimate = estimate_region(model, on_disc)
    except DataError:  # too few points to estimate anything, but the user's sphere needs none
        estimate = Region(center, radius, mean_up(model.c2w), None, method)
    return replace(estimate, center=center, radius=radius, method=method)
