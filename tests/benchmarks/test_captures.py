"""Cameras are paired with the truth and aligned without those that are far off; what cannot be measured is told."""

import json

import numpy as np
import pytest

from benchmarks import captures
from utils.errors import DataError


def test_cameras_far_off_do_not_place_the_others():
    random = np.random.default_rng(0)
    theirs = random.normal(0.0, 1.0, (30, 3))
    ours = 0.5 * theirs @ np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) + [1.0, 2.0, 3.0]
    ours += random.normal(0.0, 1e-4, ours.shape)
    ours[4] += 3.0
    similarity, errors = captures.align(ours, theirs)
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
    found = captures.true_cameras(path)
    assert list(found) == ["7", "a_01"]
    np.testing.assert_array_equal(found["7"], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("text", ["", "{}", '{"frames": [{"frame": 1}]}'])
def test_a_file_without_cameras_is_named(tmp_path, text):
    (path := tmp_path / "gt_cameras.json").write_text(text)
    with pytest.raises(DataError, match=r"gt_cameras\.json: expected cameras"):
        captures.true_cameras(path)


def test_a_command_that_fails_is_told_with_its_last_lines(tmp_path):
    with pytest.raises(DataError, match=r"ended with 2.*no such file"):
        captures._run(["scripts/prepare.py", str(tmp_path / "none"), str(tmp_path / "out")], tmp_path / "log")
    assert captures._run(["-c", "print(1)"], tmp_path / "log") > 0.0
