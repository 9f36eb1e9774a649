"""Cameras are paired with the truth and aligned without those that are far off; what cannot be measured is told."""

import json

import numpy as np
import pytest
from truth_on_disk import TRUTH_FROM_OURS, write_prepared, write_set

from benchmarks.truth import alignment
from utils.errors import DataError


def test_cameras_far_off_do_not_place_the_others():
    random = np.random.default_rng(0)
    theirs = random.normal(0.0, 1.0, (30, 3))
    ours = 0.5 * theirs @ np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) + [1.0, 2.0, 3.0]
    ours += random.normal(0.0, 1e-4, ours.shape)
    ours[4] += 3.0
    similarity, errors = alignment.align(ours, theirs)
    assert np.cbrt(np.linalg.det(similarity[:3, :3])) == pytest.approx(2.0, rel=1e-3)
    assert np.median(errors) < 1e-3
    assert errors[4] > 5.0


def test_frames_of_a_video_go_by_number_and_photographs_by_name(tmp_path):
    path = tmp_path / "gt_cameras.json"
    pose = np.eye(4)
    pose[:3, 3] = 1.0, 2.0, 3.0
    frames = [{name: value, "transform_matrix": pose.tolist()} for name, value in
              (("frame", 7), ("file_path", "images/a_01.jpg"))]  # fmt: skip
    path.write_text(json.dumps({"frames": frames}))
    found = alignment.true_cameras(path)
    assert list(found) == ["7", "a_01"]
    np.testing.assert_array_equal(found["7"], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("text", ["", "{}", '{"frames": [{"frame": 1}]}'])
def test_a_file_without_cameras_is_named(tmp_path, text):
    (path := tmp_path / "gt_cameras.json").write_text(text)
    with pytest.raises(DataError, match=r"gt_cameras\.json: expected cameras"):
        alignment.true_cameras(path)


def test_a_mesh_finds_its_way_into_the_frame_of_the_truth(tmp_path):
    scene = write_set(tmp_path / "cup")
    write_prepared(tmp_path / "out")
    similarity, figures = alignment.align_with_truth(scene, tmp_path / "out", False)
    np.testing.assert_allclose(similarity, TRUTH_FROM_OURS, atol=1e-6)
    assert (figures["cameras"], figures["of"]) == (8, 8)
    assert figures["centre_error_share"] < 1e-6
