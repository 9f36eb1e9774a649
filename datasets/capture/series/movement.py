"""Whether an object was moved between two prepared series, or the second is more photos of the same scene."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pycolmap

from datasets.capture.masks.object_masks import MIN_AGREEMENT
from datasets.capture.series.joint_masks import JointMasks
from datasets.capture.series.joint_model import put_together
from datasets.capture.series.matching import match_points
from datasets.capture.series.object_features import ObjectFeatures, read_features
from datasets.capture.series.placement import problem
from datasets.capture.series.prepared import PreparedSeries, masks_of
from datasets.capture.series.similarity import SeriesMotion, find_motion, moved
from datasets.capture.sparse_model import to_sparse_model
from datasets.region import REGION_FILE, read_region

_TURNED = 20.0  # degrees between the up directions of an object that stands on another side; by hand it tilts less
_SAME = 0.1  # of the object's radius: by less two motions of it differ when it stayed where it is


@dataclass(frozen=True)
class Movement:
    """What was found, and why."""

    was_moved: bool | None  # None: nothing tells
    reason: str


def find_movement(first: PreparedSeries, second: PreparedSeries) -> Movement:
    """Compares how the object and how its surroundings lie in two series that both have masks.

    Where the surroundings match, they tell where the object would be had it stayed. Where only the object matches, it
    was moved if it stands on another side. Where nothing matches nothing is known."""
    models = [pycolmap.Reconstruction(one.root / "sparse" / "0") for one in (first, second)]
    features = _read(first, second, models, on_object=True)
    object_motion = _motion(*features)
    scene_motion = _motion(*_read(first, second, models, on_object=False))
    figures = f"{object_motion.support} points of the object and {scene_motion.support} around it match"
    if problem(scene_motion) is not None:
        if problem(object_motion) is None and turned_over(object_motion, first, second):
            return Movement(True, f"{figures}: the object stands on another side")
        return Movement(None, f"{figures}: too few to tell")
    if problem(object_motion) is None:
        points = features[1].points
        apart = moved(points, object_motion.first_from_second) - moved(points, scene_motion.first_from_second)
        distance = float(np.median(np.linalg.norm(apart, axis=1))) / features[0].radius()
        if distance < _SAME:
            return Movement(False, f"{figures}: both stayed where they were")
        return Movement(True, f"{figures}: the object moved, what is around it did not")
    agreement = _agreement_unmoved(first, second, models, features, scene_motion)
    told = f"{figures}: had it stayed, the masks would agree by {agreement:.0%}"
    return Movement(agreement < MIN_AGREEMENT, told)


def turned_over(motion: SeriesMotion, first: PreparedSeries, second: PreparedSeries) -> bool:
    """Whether the object stands on another side in the second series."""
    regions = [read_region(one.root / REGION_FILE) for one in (first, second)]
    return differ([regions[0].up, motion.first_from_second[:3, :3] @ regions[1].up])


def differ(ups: Sequence[np.ndarray]) -> bool:
    """Whether up directions (3,) of any length, in the frame of the object, are not the same: then some of the series
    show the underside of the others."""
    units = np.stack([up / np.linalg.norm(up) for up in ups])
    return bool((units @ units[0]).min() < np.cos(np.radians(_TURNED)))


def _read(
    first: PreparedSeries, second: PreparedSeries, models: list[pycolmap.Reconstruction], on_object: bool
) -> list[ObjectFeatures]:
    pairs = zip((first, second), models, strict=True)
    return [read_features(one.root, model, one.label, on_object) for one, model in pairs]


def _motion(first: ObjectFeatures, second: ObjectFeatures) -> SeriesMotion:
    return find_motion(first, second, match_points(first, second))


def _agreement_unmoved(
    first: PreparedSeries, second: PreparedSeries, models: list[pycolmap.Reconstruction],
    features: list[ObjectFeatures], motion: SeriesMotion,
) -> float:  # fmt: skip
    """The mean intersection over union of all masks and what they leave together, if only the cameras moved."""
    masks = [masks_of(one, model) for one, model in zip((first, second), models, strict=True)]
    names = [{name: f"{number}_{name}" for name in own} for number, own in enumerate(masks)]
    joint, _ = put_together(models, features, [np.eye(4), motion.first_from_second], names)
    joined = {names[number][name]: mask for number, own in enumerate(masks) for name, mask in own.items()}
    region = read_region(first.root / REGION_FILE)
    return JointMasks(to_sparse_model(joint), joined, region.center, region.radius).hull().mean_agreement
