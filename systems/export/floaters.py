"""Drops small components of a mesh, unless the masks of photographs show that they belong to the object."""

import logging
import math
from collections.abc import Callable

import numpy as np

from systems.configs import ExportConfig
from systems.views import PosedViews
from utils.mesh import Mesh
from utils.mesh.measures import drop_floaters
from utils.mesh.visibility import Viewpoint, in_views, object_mask, seen

log = logging.getLogger(__name__)
MAX_VIEWS = 24  # views that are used, evenly spread
MAX_POINTS = 200  # points that are tested of a component
MASK_MARGIN = 2  # pixels by which masks are widened, since outlines are inexact
# A component belongs to the object if
MIN_IN_MASKS = 0.9  # at least this share of its points lies inside the masks of all views that have them in frame,
MIN_SEEN = 0.5  # and at least one view sees this share of those points


def drop_small_components(
    mesh: Mesh, config: ExportConfig, views: Callable[[], PosedViews] | None, tolerance: float
) -> tuple[Mesh, int]:
    """The mesh without components below `export.min_component` of the largest one's area, and how many it dropped.

    If photographs have masks, components that lie in the masks and that nothing hides stay, down to
    `export.min_shown_component`: they are thin parts that have come off. mesh: in scene coordinates, welded; views:
    loads the photographs, None if there are none; tolerance: scene units by which the surface may lie in front of a
    point that still counts as seen."""

    def shown(components: list[np.ndarray]) -> list[bool]:
        masked = masked_views(views())
        return [bool(masked) and _is_shown(points, mesh, masked, tolerance) for points in components]

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


def masked_views(views: PosedViews) -> list[Viewpoint]:
    """At most MAX_VIEWS of the views that have masks, with the masks widened by MASK_MARGIN; [] if none has one."""
    masked = []
    for index in np.unique(np.linspace(0, len(views) - 1, MAX_VIEWS).round().astype(int)).tolist():
        photograph, camera = views.photograph(index), views.camera(index)
        if photograph.shape[-1] == 4:
            mask = object_mask(photograph, MASK_MARGIN)
            masked.append(Viewpoint(camera.c2w, camera.intrinsics, camera.size, mask))
    return masked


def _is_shown(points: np.ndarray, mesh: Mesh, views: list[Viewpoint], tolerance: float) -> bool:
    points = points[:: math.ceil(len(points) / MAX_POINTS)]
    within = in_views(points, views, "all")
    return within.mean() >= MIN_IN_MASKS and seen(points[within], mesh, views, tolerance).mean() >= MIN_SEEN
