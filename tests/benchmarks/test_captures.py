"""A mesh is judged in the frame of the truth, with the figures of the cameras beside."""

import numpy as np
import pytest
from shapes import ball
from truth_on_disk import write_prepared, write_set

from benchmarks import captures
from utils.mesh import transform


def test_a_mesh_is_judged_where_the_truth_is(tmp_path):
    scene = write_set(tmp_path / "cup")
    write_prepared(tmp_path / "out")
    found = captures.judge(scene, tmp_path / "out", transform(ball(0.5, 4), np.diag([1.02, 1.02, 1.02, 1.0])))
    assert found["chamfer_permille"] == pytest.approx(1e3 * 0.01 / np.sqrt(3.0), rel=0.1)  # of the box of a ball
    assert (found["cameras"], found["watertight"]) == (8, True)
