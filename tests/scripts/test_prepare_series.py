"""One folder of photos of a box that was laid on its side in between becomes one dataset, with its underside."""

import numpy as np
import pytest
from textured_scene import render

from datasets.capture.masks import carving
from datasets.capture.sparse_model import read_sparse_model
from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.geometry.agreement import agreement
from datasets.geometry.normalise import move_cameras
from datasets.poses import look_at
from datasets.region import read_region
from scripts.prepare import main
from utils.images import write_jpeg

UP = np.array([0.0, 0.0, 1.0])


def cameras(num: int, height: float, start: float) -> np.ndarray:
    """(num, 3, 4) on a circle around the box."""
    turn = start + np.linspace(0.0, 2.0 * np.pi, num, endpoint=False)
    spots = np.stack([2.4 * np.cos(turn), 2.4 * np.sin(turn), np.full(num, height)], axis=1)
    return np.stack([look_at(spot, np.array([0.0, 0.0, 0.35]), UP) for spot in spots])


def on_its_side() -> np.ndarray:
    """(4, 4) the motion of the box: a quarter turn about x, so that it stands on what was its side, 0.4 from its
    middle, which was 0.45 above the floor; then a fifth of a turn about z."""
    tilt = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    cos, sin = np.cos(1.3), np.sin(1.3)
    motion = np.eye(4)
    motion[:3, :3] = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]) @ tilt
    motion[:3, 3] = [0.05, 0.1, 0.4] - motion[:3, :3] @ [0.0, 0.0, 0.45]
    return motion


@pytest.mark.slow
def test_a_box_on_its_foot_and_on_its_side(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(carving, "_COARSE", 32)  # voxels of two pixels
    monkeypatch.setattr(carving, "_FINE", 72)
    truth = []
    for prefix, box, start in (("a", np.eye(4), 0.0), ("b", on_its_side(), 0.1)):
        views = np.concatenate([cameras(20, 1.0, start), cameras(14, 2.0, start)])
        for number, c2w in enumerate(views):
            write_jpeg(tmp_path / "photos" / f"{prefix}_{number:02d}.jpg", render(c2w, box=box))
        truth.append(move_cameras(views, np.linalg.inv(box)))
    out = tmp_path / "out"
    assert main([str(tmp_path / "photos"), str(out)]) == 0
    assert "2 series: a_00.jpg to a_33.jpg and b_00.jpg to b_33.jpg" in capsys.readouterr().err
    model = read_sparse_model(out / "sparse" / "0")
    assert len(model.names) >= 66
    numbers = [34 * (name[0] == "b") + int(name[2:4]) for name in model.names]
    found = agreement(model.c2w, np.concatenate(truth)[numbers])
    assert np.median(found.centre_errors) < 0.005
    assert found.centre_errors.max() < 0.03
    assert read_region(out / "object.json").ground is None
    scene = ColmapLoader(ColmapConfig(str(out))).load("train")
    assert scene.has_alpha
    assert main([str(tmp_path / "photos"), str(out)]) == 0
    assert " ..." not in capsys.readouterr().err  # nothing runs again
