"""Sets of photographs of objects whose sides look alike, as models and matches of COLMAP: true ones, and folded ones.

A folded model places cameras of one side of the object at another side that looks the same. Matches within a pair of
photographs are what a matcher finds: each pair agrees on the turn of the object under which most features coincide, so
photographs of opposite sides may match well and wrongly."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pycolmap

from datasets.poses import look_at

FOCAL, SIZE = 900.0, (800, 600)
DISTANCE = 3.0  # of the cameras from the object, whose radius is about 0.5
_POINTS = 900
_FACING, _SIFT_REACH = np.cos(np.radians(70.0)), np.cos(np.radians(35.0))  # to be seen; between views, to be matched
_DETECTED, _MATCHED = 0.8, 0.8  # of the features that could be
_NOISE = 0.5  # pixels
_MIN_MATCHES = 15  # as in the poses stage
_NEIGHBOURS, _SIMILAR = 6, 6  # of a frame of a video
_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class FoldedSet:
    """A walk or a turntable round an object, and which of its cameras are folded."""

    name: str
    symmetry: int  # turns by a full circle over this look alike
    azimuths: tuple[tuple[float, ...], ...]  # degrees of the cameras, of each ring or walk in its order
    elevations: tuple[float, ...]  # degrees, of each ring
    turns: tuple[tuple[int, ...], ...]  # by how many sides each camera is folded back; 0 leaves it where it is
    turntable: bool = False
    is_video: bool = False
    unique: float = 0.4  # of the points, that are on one side only
    bare: float = 0.0  # degrees: half the width of two opposite sides without any points
    seed: int = 0

    @property
    def order(self) -> list[list[str]]:
        """The names of the images: for each ring of a turntable, or of all of a walk."""
        rings = [[f"{ring}_{i:03d}.jpg" for i in range(len(part))] for ring, part in enumerate(self.azimuths)]
        return rings if self.turntable else [[name for ring in rings for name in ring]]

    def unfolded(self) -> "FoldedSet":
        """The same photographs with true cameras."""
        return replace(self, turns=tuple((0,) * len(ring) for ring in self.turns))


@dataclass(frozen=True)
class _Object:
    """P points of an object; those of one class look the same."""

    xyz: np.ndarray  # (P, 3)
    normals: np.ndarray  # (P, 3)
    kind: np.ndarray  # (P,) class
    side: np.ndarray  # (P,) which of the sides of its class, 0 .. symmetry - 1
    index: np.ndarray  # (classes, symmetry) the point of a class on a side, -1 where there is none


@dataclass(frozen=True)
class _Photo:
    """What one camera sees."""

    name: str
    c2w: np.ndarray  # (3, 4) true
    turns: int
    points: np.ndarray  # (K,) indices of the object
    pixels: np.ndarray  # (K, 2)
    towards: np.ndarray  # (P, 3) unit vectors from all points to the camera
    feature: np.ndarray = field(repr=False)  # (P,) the feature that shows a point, -1 where none does


def write_set(scene: FoldedSet, database: Path) -> pycolmap.Reconstruction:
    """The model of a set, and its matches in a new database, as the stage `poses` has them."""
    random = np.random.default_rng(scene.seed)
    thing = _make_object(scene, random)
    photos = _take_photos(scene, thing, random)
    with pycolmap.Database.open(database) as opened:
        camera_id = opened.write_camera(_camera())
        ids = []
        for photo in photos:
            ids.append(opened.write_image(pycolmap.Image(name=photo.name, camera_id=camera_id)))
            opened.write_keypoints(ids[-1], photo.pixels.astype(np.float32))
        for i, j in _pairs(scene, photos, thing):
            matches = _matches(scene, thing, photos[i], photos[j], random)
            if len(matches) >= _MIN_MATCHES:
                geometry = pycolmap.TwoViewGeometry()
                geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED
                geometry.inlier_matches = matches.astype(np.uint32)
                opened.write_two_view_geometry(ids[i], ids[j], geometry)
    return _make_model(scene, thing, photos, ids)


def _camera() -> pycolmap.Camera:
    params = [FOCAL, SIZE[0] / 2, SIZE[1] / 2]
    return pycolmap.Camera(camera_id=1, model="SIMPLE_PINHOLE", width=SIZE[0], height=SIZE[1], params=params)


def _turn(angle: float) -> np.ndarray:
    """(3, 3) the turn about the z axis by an angle in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _make_object(scene: FoldedSet, random: np.random.Generator) -> _Object:
    """A pillar with prints round it and on its top; most prints are on all of its sides."""
    num = _POINTS // scene.symmetry
    azimuth = random.uniform(0.0, 2.0 * np.pi / scene.symmetry, num)
    on_top = random.uniform(size=num) < 0.15
    tilt = np.where(on_top, np.pi / 2.0, random.uniform(-0.5, 0.5, num))
    radius = np.where(on_top, random.uniform(0.0, 0.4, num), random.uniform(0.3, 0.5, num))
    height = np.where(on_top, 0.5, random.uniform(-0.5, 0.5, num))
    flat = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
    first = np.concatenate([radius[:, None] * flat, height[:, None]], axis=1)
    normals = np.concatenate([np.cos(tilt)[:, None] * flat, np.sin(tilt)[:, None]], axis=1)
    turns = [_turn(2.0 * np.pi * side / scene.symmetry).T for side in range(scene.symmetry)]
    xyz, normals = (np.concatenate([part @ turn for turn in turns]) for part in (first, normals))
    kind, side = np.tile(np.arange(num), scene.symmetry), np.repeat(np.arange(scene.symmetry), num)
    own = random.uniform(size=len(kind)) < scene.unique  # prints that no other side has
    kind = np.where(own, num + np.arange(len(kind)), kind)
    off = np.abs((np.degrees(np.arctan2(xyz[:, 1], xyz[:, 0])) % 180.0) - 90.0)
    kept = (off > scene.bare) | (normals[:, 2] > 0.9)
    xyz, normals, kind, side = (values[kept] for values in (xyz, normals, kind, side))
    index = np.full((kind.max() + 1, scene.symmetry), -1)
    index[kind, side] = np.arange(len(kind))
    return _Object(xyz, normals, kind, side, index)


def _take_photos(scene: FoldedSet, thing: _Object, random: np.random.Generator) -> list[_Photo]:
    photos = []
    for ring, (azimuths, elevation) in enumerate(zip(scene.azimuths, scene.elevations, strict=True)):
        for number, azimuth in enumerate(azimuths):
            turn, lift = np.radians(azimuth), np.radians(elevation)
            aim = np.zeros(3)
            if not scene.turntable:
                lift += random.normal(0.0, 0.03)
                aim = random.normal(0.0, 0.05, 3)
            flat = np.cos(lift)
            centre = DISTANCE * np.array([flat * np.cos(turn), flat * np.sin(turn), np.sin(lift)])
            c2w = look_at(centre, aim, _UP)
            towards = centre - thing.xyz
            towards /= np.linalg.norm(towards, axis=1, keepdims=True)
            seen = ((towards * thing.normals).sum(axis=1) > _FACING) & (random.uniform(size=len(towards)) < _DETECTED)
            points = np.flatnonzero(seen)
            inside = (thing.xyz[points] - centre) @ c2w[:, :3]
            pixels = FOCAL * inside[:, :2] / inside[:, 2:] + np.array(SIZE) / 2
            feature = np.full(len(towards), -1)
            feature[points] = np.arange(len(points))
            name = f"{ring}_{number:03d}.jpg"
            pixels += random.normal(0.0, _NOISE, pixels.shape)
            photos.append(_Photo(name, c2w, scene.turns[ring][number], points, pixels, towards, feature))
    return photos


def _pairs(scene: FoldedSet, photos: Sequence[_Photo], thing: _Object) -> list[tuple[int, int]]:
    """Which photographs are matched, much as the poses stage chooses them."""
    num = len(photos)
    if not scene.turntable and not scene.is_video:
        return list(combinations(range(num), 2))
    pairs: set[tuple[int, int]] = set()
    if scene.is_video:
        seen = np.zeros((num, len(thing.index)), np.float32)
        for i, photo in enumerate(photos):
            seen[i, thing.kind[photo.points]] = 1.0
        alike = seen @ seen.T
        for i in range(num):
            pairs |= {(i, j) for j in range(i + 1, min(i + _NEIGHBOURS + 1, num))}
            alike[i, max(i - _NEIGHBOURS, 0) : i + _NEIGHBOURS + 1] = -1.0
            pairs |= {(min(i, j), max(i, j)) for j in np.argsort(-alike[i])[:_SIMILAR].tolist()}
        return sorted(pairs)
    starts = np.cumsum([0, *map(len, scene.azimuths)])
    for ring, length in enumerate(map(len, scene.azimuths)):
        for place in range(length):
            i = starts[ring] + place
            pairs |= {(i, starts[ring] + (place + step) % length) for step in range(1, 5)}
            pairs |= {
                (i, starts[other] + (place + step) % len(scene.azimuths[other]))
                for other in range(ring + 1, len(scene.azimuths))
                for step in (-1, 0, 1)
            }
    return sorted({(min(pair), max(pair)) for pair in pairs})


def _matches(
    scene: FoldedSet, thing: _Object, first: _Photo, second: _Photo, random: np.random.Generator
) -> np.ndarray:
    """(M, 2) features of two photographs, under the turn of the object that most of them agree on."""
    best = np.zeros((0, 2), int)
    for side in range(scene.symmetry):
        partner = thing.index[thing.kind[first.points], (thing.side[first.points] + side) % scene.symmetry]
        there = np.where(partner >= 0, second.feature[partner], -1)
        turned = first.towards[first.points] @ _turn(2.0 * np.pi * side / scene.symmetry).T
        alike = (turned * second.towards[partner]).sum(axis=1) > _SIFT_REACH
        found = np.flatnonzero((there >= 0) & alike)
        if len(found) > len(best):
            best = np.stack([found, there[found]], axis=1)
    return best[random.uniform(size=len(best)) < _MATCHED]


def _make_model(
    scene: FoldedSet, thing: _Object, photos: Sequence[_Photo], ids: Sequence[int]
) -> pycolmap.Reconstruction:
    """The cameras, each turned back by its sides, and the points that this lays onto each other."""
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(_camera())
    tracks: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for photo, image_id in zip(photos, ids, strict=True):
        pose = _turn(-2.0 * np.pi * photo.turns / scene.symmetry) @ photo.c2w
        image = pycolmap.Image(name=photo.name, camera_id=1, image_id=image_id, keypoints=photo.pixels)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose).inverse())
        for feature, point in enumerate(photo.points.tolist()):
            key = int(thing.kind[point]), int(thing.side[point] - photo.turns) % scene.symmetry
            tracks.setdefault(key, []).append((image_id, feature))
    own = {kind: point for point, kind in enumerate(thing.kind.tolist())}
    for (kind, side), seen in tracks.items():
        if len(seen) > 1:
            point = own[kind]
            angle = 2.0 * np.pi * (side - int(thing.side[point])) / scene.symmetry
            track = pycolmap.Track([pycolmap.TrackElement(*element) for element in seen])
            model.add_point3D(_turn(angle) @ thing.xyz[point], track)
    return model


def _even(num: int, turns: float = 1.0) -> tuple[float, ...]:
    return tuple(360.0 * turns * i / num for i in range(num))


def _by_hand(num: int, turns: float, seed: int) -> tuple[float, ...]:
    """Uneven steps that end where `turns` turns end."""
    steps = np.random.default_rng(seed).uniform(0.5, 1.5, num)
    return tuple((360.0 * turns * np.cumsum(steps) / steps.sum()).tolist())


def _sides(azimuths: Sequence[float], symmetry: int) -> tuple[int, ...]:
    """On which side each camera is: folded, all of them look at the first."""
    return tuple(int(azimuth % 360.0 // (360.0 / symmetry)) for azimuth in azimuths)


def _between(azimuths: Sequence[float], low: float, high: float) -> tuple[int, ...]:
    """1 for the cameras between two azimuths."""
    return tuple(int(low <= azimuth % 360.0 < high) for azimuth in azimuths)


def ten_sets() -> list[FoldedSet]:
    """Two-, three- and fourfold objects, front and back alike; all, half or a few cameras folded; one ring and several,
    16 to 120 photographs, a turntable or by hand."""
    even16, even24, even36, even72 = (_even(num) for num in (16, 24, 36, 72))
    walk16, walk30, walk40 = (_by_hand(num, 1.0, num) for num in (16, 30, 40))
    video = _by_hand(120, 1.5, 5)
    three = (even24,) * 3
    heights = (12.0, 32.0, 52.0)
    return [
        FoldedSet("turntable, twofold, 24", 2, (even24,), (20.0,), (_sides(even24, 2),), True),
        FoldedSet("turntable, twofold, 3 rings", 2, three, heights, (_sides(even24, 2),) * 3, True, seed=1),
        FoldedSet("turntable, fourfold, 16", 4, (even16,), (25.0,), (_sides(even16, 4),), True, seed=2),
        FoldedSet("turntable, threefold, 36", 3, (even36,), (30.0,), (_sides(even36, 3),), True, seed=3),
        FoldedSet(
            "turntable, front and back, bare sides", 2, three, heights, (_between(even24, 90.0, 270.0),) * 3, True,
            bare=50.0, seed=4,
        ),
        FoldedSet(
            "turntable, a few of 72", 2, (even72,), (20.0,), (_between(even72, 150.0, 190.0),), True, seed=5
        ),
        FoldedSet("by hand, twofold, 40", 2, (walk40,), (25.0,), (_sides(walk40, 2),), seed=6),
        FoldedSet("video, one and a half turns", 2, (video,), (30.0,), (_sides(video, 2),), is_video=True, seed=7),
        FoldedSet(
            "by hand, the upper ring's far side", 2, (walk30, walk30), (15.0, 45.0),
            ((0,) * 30, _between(walk30, 100.0, 260.0)), seed=8,
        ),
        FoldedSet(
            "by hand, front and back, bare sides, 16", 2, (walk16,), (20.0,), (_between(walk16, 90.0, 270.0),),
            bare=40.0, seed=9,
        ),
    ]  # fmt: skip
