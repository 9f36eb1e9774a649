"""Small components of a mesh: dropped, unless photographs show that they are part of the object."""

import logging
import math
from collections.abc import Callable

import numpy as np

from systems.configs import ExportConfig
from systems.views import CapturedViews
from utils.mesh import Mesh
from utils.mesh.measures import drop_floaters
from utils.mesh.visibility import Viewpoint, in_views, object_mask, seen

log = logging.getLogger(__name__)
MAX_VIEWS = 24  # that are asked, evenly spread
MAX_POINTS = 200  # of a component
OFF = 2  # pixels that an outline may be off
IN_MASKS = 0.9  # share of its points that lie within the masks of all views that have them in frame,
IN_SIGHT = 0.5  # and of these, share that some view sees


def drop_small(
    mesh: Mesh, config: ExportConfig, views: Callable[[], CapturedViews] | None, tolerance: float
) -> tuple[Mesh, int]:
    """The mesh, in scene coordinates and welded, without components below `export.min_component` of the largest one's
    area, and their number.

    Where photographs have masks, those stay that the masks show and nothing hides, down to `min_shown_component`: a
    thin part that has lost touch. views: gives the photographs that are asked, None where there are none; tolerance:
    scene units by which the surface may lie in front of a point that is seen."""

    def shown(components: list[np.ndarray]) -> list[bool]:
        found = witnesses(views())
        return [bool(found) and _is_shown(points, mesh, found, tolerance) for points in components]

    spared = None if views is None else shown
    mesh, dropped = drop_floaters(
        mesh, config.min_component, welded=True, spared=spared, least_spared=config.min_shown_component
    )
    if dropped:
        faces = sum(num_faces for num_faces, _ in dropped)
        log.debug(
            "mesh: dropped %d floaters with %d faces (export.min_component=%g)",
            *(len(dropped), faces, config.min_component),
        )
    return mesh, len(dropped)


def witnesses(views: CapturedViews) -> list[Viewpoint]:
    """Some of the views with their masks, a little wider than they are; none where there are no masks."""
    found = []
    for index in np.unique(np.linspace(0, len(views) - 1, MAX_VIEWS).round().astype(int)).tolist():
        photograph, camera = views.photograph(index), views.camera(index)
        if photograph.shape[-1] == 4:
            mask = object_mask(photograph, OFF)
            found.append(Viewpoint(camera.c2w, camera.intrinsics, camera.size, mask))
    return found


def _is_shown(points: np.ndarray, mesh: Mesh, views: list[Viewpoint], tolerance: float) -> bool:
    points = points[:: math.ceil(len(points) / MAX_POINTS)]
    within = in_views(points, views, "all")
    return within.mean() >= IN_MASKS and seen(points[within], mesh, views, tolerance).mean() >= IN_SIGHT
