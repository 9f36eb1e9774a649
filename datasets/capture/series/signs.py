"""Signs in the poses of all photos together that the object was moved on the way: then they are two series."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from datasets.capture.poses.likely_split import MIN_PHOTOS, Split
from datasets.capture.poses.stage import MIN_REGISTERED_SHARE
from datasets.capture.setup.record import is_turntable
from datasets.region import REGION_FILE, Region, read_region
from utils.errors import CaptureError
from utils.files import natural_key

_NEAR = 30.0  # degrees between the directions of two photos that show the same side: SIFT matches up to there
_MIN_EXPECTED = 200  # points of the object that photos before and after the split would share had it stayed
_MIN_SHARE = 0.1  # of the object in what photos share, in both parts: in a heap of things each view has its own
_MAX_LEFT = 0.1  # of these: with less it was moved
_FOOT = 0.05  # of the radius of the region: points below that height belong to the support


class MovedObjectError(CaptureError):
    """The object was probably moved on the way; the poses of all photos together are of no use then."""

    def __init__(self, split: Split) -> None:
        """split: the names of the frames before and after."""
        super().__init__(
            f"the object was probably moved between {split[0][-1]} and {split[1][0]}. Give the photos before and after "
            f"that as two folders; or give --series one if it was not moved."
        )
        self.split = split


def require_one_scene(root: Path, stage: str) -> None:
    """Raises MovedObjectError where what a stage left in a prepared folder shows two scenes."""
    split = None
    if is_turntable(root):
        return
    if stage == "poses":
        report = json.loads((root / "poses.json").read_text(encoding="utf-8"))
        if report["registered"] < MIN_REGISTERED_SHARE * report["frames"]:
            split = split_of_models(root / "poses" / "models")
    elif stage == "region":
        split = split_of_points(pycolmap.Reconstruction(root / "sparse" / "0"), read_region(root / REGION_FILE))
    if split is not None:
        raise MovedObjectError(split)


def split_of_models(folder: Path) -> Split | None:
    """The images of the two largest models in a folder of models, where one has the first and the other the last
    images; None where they are not so, or where one model has nearly all."""
    models = [pycolmap.Reconstruction(path) for path in sorted(folder.iterdir(), key=lambda path: int(path.name))[:2]]
    names = [sorted((model.images[i].name for i in model.reg_image_ids()), key=natural_key) for model in models]
    if len(names) < 2 or min(map(len, names)) < MIN_PHOTOS:
        return None
    first, second = sorted(names, key=lambda own: natural_key(own[0]))
    return (tuple(first), tuple(second)) if natural_key(first[-1]) < natural_key(second[0]) else None


def split_of_points(model: pycolmap.Reconstruction, region: Region) -> Split | None:
    """The images before and after the object was moved, in a model that the surroundings hold together; None where
    none such is found.

    Photos from one side share points of the object and of what is around it. After a move they still share the latter,
    and none of the former."""
    images = sorted((model.images[i] for i in model.reg_image_ids()), key=lambda image: natural_key(image.name))
    if region.ground is None or len(images) < 2 * MIN_PHOTOS:
        return None
    points = list(model.points3D.values())
    places = np.array([point.xyz for point in points])
    is_object = region.contains(places) & (region.ground.height(places) > _FOOT * region.radius)
    towards = np.stack([image.projection_center() for image in images]) - region.center
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    near = towards @ towards.T > np.cos(np.radians(_NEAR))
    number = {image.image_id: place for place, image in enumerate(images)}
    tracks = [sorted({number[element.image_id] for element in point.track.elements}) for point in points]
    of_object, around = (near * _shared(tracks, chosen, len(images)) for chosen in (is_object, ~is_object))
    place = split_of_shared(of_object, around)
    names = tuple(image.name for image in images)
    return None if place is None else (names[:place], names[place:])


def split_of_shared(of_object: np.ndarray, around: np.ndarray) -> int | None:
    """The number of images before the object was moved; None where it was not.

    of_object, around: (N, N) symmetric, how many points of the object and around it each two images share, 0 where
    they show different sides."""
    best, least = None, _MAX_LEFT
    for place in range(MIN_PHOTOS, len(of_object) - MIN_PHOTOS + 1):
        shares = [
            part_of_object.sum() / max(part_of_object.sum() + part_around.sum(), 1.0)
            for part_of_object, part_around in (
                (of_object[:place, :place], around[:place, :place]),
                (of_object[place:, place:], around[place:, place:]),
            )
        ]
        found = of_object[:place, place:].sum()
        expected = min(shares) * (found + around[:place, place:].sum())
        if min(shares) >= _MIN_SHARE and expected >= _MIN_EXPECTED and found < least * expected:
            best, least = place, found / expected
    return best


def _shared(tracks: Sequence[Sequence[int]], chosen: np.ndarray, num: int) -> np.ndarray:
    """(num, num) how many of the chosen (K,) bool points with these tracks each two images share; 0 on the diagonal."""
    seen = np.zeros((int(chosen.sum()), num), np.float32)
    for row, point in enumerate(np.flatnonzero(chosen).tolist()):
        seen[row, tracks[point]] = 1.0
    shared = seen.T @ seen
    np.fill_diagonal(shared, 0.0)
    return shared
