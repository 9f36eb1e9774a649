"""The region of interest as the user wants it: given as numbers, as cleaned points, or found in the sparse model."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from datasets.capture.cloud import Cloud
from datasets.capture.region.clusters import enclosing_ball
from datasets.capture.region.estimate import MARGIN, estimate_region
from datasets.geometry.axes import mean_up
from datasets.region import Region, parse_roi
from utils.errors import DataError
from utils.mesh.ply import read_vertices

log = logging.getLogger(__name__)
POINTS_FILE, INTEREST_FILE = "sparse_points.ply", "sparse_points_interest.ply"


def choose_region(cloud: Cloud, roi: str | None = None, interest: Path | None = None) -> Region:
    """The sphere that `roi` ("x,y,z,radius") names, else that around the vertices of the PLY file `interest`, else the
    one that `estimate_region` finds; says which.

    Up direction and ground are estimated in any case. interest: may be missing on disk. Raises InputError."""
    if roi is not None:
        center, radius = parse_roi(roi)
        region = _around(cloud, center, radius, "by --roi")
    elif interest is not None and interest.is_file():
        center, radius = sphere_of_points(interest)
        region = _around(cloud, center, radius, f"the points of {interest.name}")
    else:
        region = estimate_region(cloud)
    log.info(
        "region of interest (%s): radius %.4g around (%.4g, %.4g, %.4g), with %d of %d points",
        *(region.method, region.radius, *region.center, region.holds(cloud.points).sum(), len(cloud.points)),
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


def _around(cloud: Cloud, center: np.ndarray, radius: float, method: str) -> Region:
    try:
        found = estimate_region(cloud)
    except DataError:  # the user knows better than a model with too few points
        found = Region(center, radius, mean_up(cloud.c2w), None, method)
    return replace(found, center=center, radius=radius, method=method)
