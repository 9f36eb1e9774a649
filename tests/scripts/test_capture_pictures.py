"""The photographs of the documents are what their names say, and the command line refuses what it cannot write to."""

import cv2
import numpy as np
import pytest

from datasets.capture.frames.motion import BLURRED, blur
from scripts.capture_pictures import DISTANCE, TARGET, VARIANTS, cameras, main, photograph
from scripts.capture_scene import FOCAL, fur, glaze

SIZE = (320, 240)


def test_cameras_surround_the_cow_and_look_at_it():
    found = cameras(40)
    offsets = found[:, :, 3] - TARGET
    np.testing.assert_allclose(offsets, -DISTANCE * found[:, :, 2], atol=1e-12)
    np.testing.assert_allclose(offsets.mean(axis=0)[:2], 0.0, atol=1e-12)
    assert len(np.unique(offsets[:, 2].round(6))) == 2  # rings


@pytest.mark.parametrize(("coat", "moves"), [(fur, False), (glaze, True)])
def test_only_gloss_changes_with_the_camera(coat, moves):
    normals = np.random.default_rng(0).normal(size=(200, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    near, far = (coat(0.4 * normals, normals, camera[:, 3]) for camera in cameras(40)[:2])
    assert ((near >= 0.0) & (near <= 1.5)).all()
    assert (np.abs(near - far).max() > 0.2) == moves


def test_the_cow_is_in_the_middle_and_its_table_is_the_same_whatever_its_coat():
    matt, glazed = (photograph(VARIANTS[name], cameras(40)[0], 0, SIZE) for name in ("good", "glossy"))
    rows, columns = np.nonzero((matt != glazed).any(axis=2))
    size = FOCAL * SIZE[0] / DISTANCE  # pixels of the height of the cow, which is about as long
    assert abs(columns.mean() - SIZE[0] / 2) < 0.2 * size
    assert abs(rows.mean() - SIZE[1] / 2) < 0.2 * size
    assert 0.7 * size < np.ptp(rows) < 1.3 * size


def test_a_shaken_hand_blurs_and_nothing_else_does():
    shaken, still = (photograph(VARIANTS[name], cameras(40)[0], 0, (480, 360)) for name in ("blurred", "good"))
    measured = [blur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)) for picture in (shaken, still)]
    assert measured[0] > BLURRED > measured[1]
    np.testing.assert_allclose(shaken.mean(axis=(0, 1)), still.mean(axis=(0, 1)), atol=4.0)


def test_a_missing_folder_is_one_line_and_exit_code_two(tmp_path, capsys):
    assert main([str(tmp_path / "missing")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
