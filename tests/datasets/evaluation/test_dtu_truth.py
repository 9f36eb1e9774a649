"""The published layout of DTU's ground truth comes back as it was; damaged files are told."""

import numpy as np
import pytest
from scenes_on_disk import write_dtu_truth
from scipy.io import savemat
from shapes import scanned_ball

from datasets.evaluation.dtu_truth import read_scan
from utils.errors import DataError


@pytest.fixture
def folder(tmp_path):
    write_dtu_truth(tmp_path, 24, scanned_ball())
    return tmp_path


def test_a_scan_is_read_as_written(folder):
    scan, found = scanned_ball(), read_scan(folder, 24)
    np.testing.assert_allclose(found.points, scan.points, atol=1e-4)
    np.testing.assert_array_equal(found.observed, scan.observed)
    np.testing.assert_allclose(found.box, scan.box, atol=1e-4)
    np.testing.assert_allclose(found.plane, scan.plane)
    assert found.cell == scan.cell


def test_the_plane_may_lie_at_the_top(folder):
    (folder / "ObsMask/Plane24.mat").rename(folder / "Plane24.mat")
    np.testing.assert_allclose(read_scan(folder, 24).plane, scanned_ball().plane)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("Points/stl/stl024_total.ply", None, "stl024_total.ply"),
        ("ObsMask/ObsMask24_10.mat", None, "no such file"),
        ("ObsMask/Plane24.mat", b"nonsense", "MATLAB file"),
        ("ObsMask/Plane24.mat", {"Q": np.ones((4, 1))}, "array P"),
        ("ObsMask/Plane24.mat", {"P": np.ones((3, 1))}, "4 numbers"),
        ("ObsMask/ObsMask24_10.mat", {"ObsMask": np.ones((2, 2, 2)), "BB": np.ones((2, 3)), "Res": 1.0}, "BB"),
    ],
)
def test_what_is_missing_or_damaged_is_told(folder, name, content, expected):
    (folder / name).unlink()
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
    elif content is not None:
        savemat(folder / name, content)
    with pytest.raises(DataError, match=expected):
        read_scan(folder, 24)


def test_a_missing_folder_names_the_layout(tmp_path):
    with pytest.raises(DataError, match=r"Points/stl/stl065_total\.ply"):
        read_scan(tmp_path / "none", 65)
