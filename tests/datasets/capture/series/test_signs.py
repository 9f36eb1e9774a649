"""Poses of all photos together show where the object was moved, and nothing where it was not."""

import numpy as np
import pycolmap
import pytest
from capture_scenes import AXES, FOCAL, SIZE, cameras, surface, table

from datasets.capture.levelling import find_levelling
from datasets.capture.poses.likely_split import likely_split
from datasets.capture.region.estimate_region import estimate_region
from datasets.capture.series.signs import split_of_models, split_of_points, split_of_shared
from datasets.capture.sparse_model import to_sparse_model
from datasets.points.sift import MIN_MATCHES

NAMES = [f"{number:03d}.jpg" for number in range(40)]


def model_of(c2w: np.ndarray, objects: list[tuple[np.ndarray, range]]) -> pycolmap.Reconstruction:
    """A model of a table and of objects, each with the images that were taken of it where it was."""
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera(
        model="PINHOLE", width=SIZE[0], height=SIZE[1], params=[FOCAL, FOCAL, SIZE[0] / 2, SIZE[1] / 2], camera_id=1
    )
    model.add_camera_with_trivial_rig(camera)
    sets = [(table(400), range(len(c2w)), None), *[(points, views, points / AXES**2) for points, views in objects]]
    features: list[list[np.ndarray]] = [[] for _ in c2w]
    tracks = []
    for points, views, normals in sets:
        for number, point in enumerate(points):
            track = []
            for view in views:
                local = c2w[view, :, :3].T @ (point - c2w[view, :, 3])
                pixel = local[:2] / local[2] * FOCAL + np.array(SIZE) / 2
                hidden = normals is not None and normals[number] @ (c2w[view, :, 3] - point) < 0.0
                if local[2] > 0.0 and (pixel > 0.0).all() and (pixel < SIZE).all() and not hidden:
                    track.append((view, len(features[view])))
                    features[view].append(pixel)
            tracks.append((point, track))
    for view, pose in enumerate(c2w):
        image = pycolmap.Image(
            name=NAMES[view], keypoints=np.array(features[view]).reshape(-1, 2), camera_id=1, image_id=view + 1
        )
        rotation = pose[:, :3].T
        model.add_image_with_trivial_frame(
            image, pycolmap.Rigid3d(pycolmap.Rotation3d(rotation), -rotation @ pose[:, 3])
        )
    for point, elements in tracks:
        if len(elements) >= 3:
            track = pycolmap.Track()
            for view, number in elements:
                track.add_element(view + 1, number)
            model.add_point3D(point, track)
    return model


def split_of(model: pycolmap.Reconstruction):
    sparse = to_sparse_model(model)
    assert find_levelling(sparse).on_ground
    return split_of_points(model, estimate_region(sparse))


@pytest.mark.parametrize("first", [16, 20])
def test_an_object_that_was_turned_shares_no_points(first):
    c2w = np.concatenate([cameras(first), cameras(40 - first)])
    turned = surface(200, seed=3) * [1.0, -1.0, 1.0]
    split = split_of(model_of(c2w, [(surface(200), range(first)), (turned, range(first, 40))]))
    assert split == (tuple(NAMES[:first]), tuple(NAMES[first:]))


@pytest.mark.parametrize("rounds", [1, 2])
def test_one_series_has_no_split(rounds):
    c2w = np.concatenate([cameras(40 // rounds, lift=0.9 + 0.3 * number) for number in range(rounds)])
    assert split_of(model_of(c2w, [(surface(200), range(40))])) is None


def test_what_only_some_photos_show_is_no_object_that_moved():
    of_object, around = np.zeros((2, 40, 40))
    around[:] = 300.0
    for part in (slice(0, 10), slice(10, 40)):
        of_object[part, part] = 20.0  # a twentieth
    assert split_of_shared(of_object, around) is None
    assert split_of_shared(5.0 * of_object, around) == 10


def test_two_models_of_the_halves_are_a_split(tmp_path):
    whole = model_of(np.concatenate([cameras(20)] * 2), [(surface(100), range(40))])
    halves, mixed = (range(22, 40), range(20)), (range(0, 40, 2), range(1, 40, 2))
    for folder, parts in (("halves", halves), ("mixed", mixed)):
        for number, views in enumerate(parts):
            part = pycolmap.Reconstruction(whole)
            for view in set(range(40)) - set(views):
                part.deregister_frame(view + 1)
            (tmp_path / folder / str(number)).mkdir(parents=True)
            part.write(tmp_path / folder / str(number))
    assert split_of_models(tmp_path / "halves") == (tuple(NAMES[:20]), tuple(NAMES[22:]))
    assert split_of_models(tmp_path / "mixed") is None


def test_a_move_costs_matches_across_it(tmp_path):
    random = np.random.default_rng(0)
    with pycolmap.Database.open(tmp_path / "database.db") as database:
        camera = pycolmap.Camera(model="SIMPLE_PINHOLE", width=10, height=10, params=[9.0, 5.0, 5.0], camera_id=1)
        database.write_camera(camera, use_camera_id=True)
        ids = [database.write_image(pycolmap.Image(name=name, camera_id=1)) for name in NAMES]
        for a in range(40):
            for b in range(a + 1, min(a + 12, 40)):
                matches = np.tile(np.arange(100, dtype=np.uint32)[:, None], (1, 2))
                rate = 0.6 if a < 17 <= b else 0.8
                kept = int(random.binomial(100, rate))
                database.write_matches(ids[a], ids[b], matches)
                geometry = pycolmap.TwoViewGeometry()
                geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED.value
                geometry.inlier_matches = matches[: max(kept, MIN_MATCHES)]
                database.write_two_view_geometry(ids[a], ids[b], geometry)
    assert likely_split(tmp_path / "database.db", NAMES) == (tuple(NAMES[:17]), tuple(NAMES[17:]))
    assert likely_split(tmp_path / "database.db", NAMES[:15]) is None
