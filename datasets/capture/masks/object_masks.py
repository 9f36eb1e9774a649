"""Masks of the object alone, without weights: what differs from its support, carved in 3D and refined at edges."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from os import cpu_count

import cv2
import numpy as np

from datasets.capture.masks.carving import Hull, carve
from datasets.capture.masks.evidence import disc_evidence, mask_evidence, plane_evidence, refined_evidence, told_share
from datasets.capture.masks.plane_picture import PlanePicture, log_colors, paint_plane
from datasets.capture.masks.refine import keep_near, refine_mask
from datasets.capture.region.cluster_points import enclosing_ball
from datasets.capture.region.support import base_plane
from datasets.capture.setup.record import LIKELY_TURNS
from datasets.capture.sparse_model import SparseModel
from datasets.geometry.axes import level_up
from datasets.geometry.normalise import rotation_to_z
from datasets.region import Region

log = logging.getLogger(__name__)
_SIDE = 640  # pixels of the longer side at which masks are made; larger photographs get them enlarged
_PLANE_RADII = 2.0  # of the region, that the picture of its ground covers
BANDS = (0.06, 0.03)  # of the object's size in pixels: how far the two rounds move the outline
MISSES = (0.1, 0.06, 0.04)  # of the views may err at a place of the object: before, between and after these rounds
_MAX_SPREAD = 0.1  # log colour: the median disagreement of the views on a plane, textured or plain, is below it
_TOLD_BANDS = 1.5  # of the last band: how far from an outline the photographs tell what is there
_BALL_POINTS = 20_000  # voxels that tell the sphere
MIN_AGREEMENT = 0.8  # mean intersection over union of the masks with the silhouettes of what all of them leave


@dataclass(frozen=True)
class ObjectMasks:
    """The masks of all views and what is known of the object."""

    masks: tuple[np.ndarray, ...]  # (H, W) uint8 each, at the size of its photograph, soft at the outline
    hull: Hull
    region: Region  # the sphere around the hull, above the plane that was taken for its support
    agreement: float  # in [0, 1]: mean intersection over union of the masks and the hull's silhouettes
    told: float  # in [0, 1]: the share of the outlines beside which the photographs themselves tell both sides apart


class NoObjectError(Exception):
    """The photographs do not tell the object from what is around it; the message says why."""


def find_object(
    region: Region,
    model: SparseModel,
    read: Callable[[str], np.ndarray],
    turning: Mapping[str, np.ndarray] | None = None,
) -> ObjectMasks:
    """The masks of what stands on the region's ground.

    read: the photograph (H, W, 3) uint8 of a name; turning: by name, the mask (H, W) of what turns before a still
    backdrop, where the photographs are of a turntable. Raises NoObjectError."""
    if region.ground is None and turning is None:
        inside = model.points[region.contains(model.points)]
        ground = base_plane(inside, model.c2w[:, :, 3], level_up(model.c2w))
        if ground is None:
            raise NoObjectError("no plane was found that the object stands on")
        region = replace(region, ground=ground, up=ground.normal)
    small = shrink(model)
    sizes = [tuple(size) for size in small.sizes.tolist()]
    with ThreadPoolExecutor(min(8, cpu_count() or 1)) as pool:
        images = list(pool.map(lambda name, size: resize_image(read(name), size), model.names, sizes))
        evidence = seen = _evidence(region, small, images, turning, pool)
        hull = _carve(region, small, evidence, MISSES[0])
        for share, misses in zip(BANDS, MISSES[1:], strict=True):
            rough = silhouettes(hull, small, pool)
            band = max(
                share * float(np.sqrt(np.median([mask.sum() for mask in rough]))), 2.0 * hull.pixels(small) + 1.0
            )
            possible = silhouettes(hull, small, pool, possible=True)
            masks = list(pool.map(refine_mask, images, rough, possible, evidence, [band] * len(images)))
            evidence = [refined_evidence(*pair, last=share == BANDS[-1]) for pair in zip(masks, evidence, strict=True)]
            hull = _carve(region, small, evidence, misses)
        rough = silhouettes(hull, small, pool)
    reach = 2.0 * hull.pixels(small) + 1.0
    masks = [keep_near(*pair, reach) for pair in zip(masks, rough, strict=True)]
    told = float(np.mean([told_share(*pair, _TOLD_BANDS * band) for pair in zip(masks, seen, strict=True)]))
    agreement = float(np.mean([_iou(*pair) for pair in zip(masks, rough, strict=True)]))
    if agreement < MIN_AGREEMENT:
        raise NoObjectError(f"the masks of the photographs contradict each other: they agree by {agreement:.0%} only")
    enlarged = tuple(map(enlarge_mask, masks, model.sizes.tolist()))
    return ObjectMasks(enlarged, hull, object_region(hull, region), agreement, told)


def _evidence(
    region: Region, model: SparseModel, images: Sequence[np.ndarray], turning: Mapping[str, np.ndarray] | None,
    pool: ThreadPoolExecutor,
) -> list[np.ndarray]:  # fmt: skip
    """(H, W) int8 of each view, from the plane, and from what turns where that is known."""
    picture: PlanePicture | None = None
    logs = list(pool.map(log_colors, images))
    moving = [
        None if turning is None else cv2.resize(turning[name], image.shape[1::-1], interpolation=cv2.INTER_AREA)
        for name, image in zip(model.names, images, strict=True)
    ]
    if region.ground is not None:
        disc = None if turning is None else [mask >= LIKELY_TURNS for mask in moving]
        reach = _PLANE_RADII * region.radius
        picture = paint_plane(region.ground, region.center, reach, model, logs, disc)
        if turning is None and picture.usual_spread > _MAX_SPREAD:
            raise NoObjectError("what is around the object is not a plane that all photographs agree on")

    def of_view(view: int) -> np.ndarray:
        told = None if turning is None else mask_evidence(moving[view])
        if picture is None:
            return told
        if told is None:
            return plane_evidence(picture, model, view, logs[view])
        return disc_evidence(told, picture, model, view, logs[view])

    return list(pool.map(of_view, range(len(images))))


def _carve(region: Region, model: SparseModel, evidence: Sequence[np.ndarray], misses: float) -> Hull:
    axes = rotation_to_z(region.up)
    floor = None if region.ground is None else float(axes[2] @ region.ground.project(region.center))
    hull = carve(evidence, model, region.center, region.radius, axes, floor, misses)
    if not hull.solid.any():
        raise NoObjectError("nothing stands out from the plane in enough of the photographs")
    return hull


def silhouettes(hull: Hull, model: SparseModel, pool: ThreadPoolExecutor, possible: bool = False) -> list[np.ndarray]:
    return list(pool.map(partial(hull.silhouette, model, possible=possible), range(len(model.names))))


def shrink(model: SparseModel) -> SparseModel:
    """The model with images of at most 640 pixels."""
    scale = np.minimum(_SIDE / model.sizes.max(axis=1, keepdims=True), 1.0)
    sizes = np.rint(model.sizes * scale).astype(np.int64)
    stretch = sizes / model.sizes
    return replace(model, sizes=sizes, intrinsics=model.intrinsics * np.concatenate([stretch, stretch], axis=1))


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if image.shape[1::-1] == size:
        return np.ascontiguousarray(image)
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)


def enlarge_mask(mask: np.ndarray, size: list[int]) -> np.ndarray:
    """(H, W) uint8 of a mask (h, w) bool: its outline is a ramp of about two pixels of the small mask."""
    soft = cv2.GaussianBlur(mask.astype(np.float32) * 255.0, (0, 0), 0.6)
    return np.rint(cv2.resize(soft, tuple(size), interpolation=cv2.INTER_LINEAR)).astype(np.uint8)


def _iou(mask: np.ndarray, other: np.ndarray) -> float:
    return float((mask & other).sum() / max((mask | other).sum(), 1))


def object_region(hull: Hull, region: Region) -> Region:
    """The sphere around a hull, with the up direction and the ground of the region that it was found in."""
    center, radius = enclosing_ball(hull.centres()[:: max(1, int(hull.solid.sum()) // _BALL_POINTS)])
    return replace(region, center=center, radius=radius + 2.0 * hull.edge, method="the object that the masks leave")
