"""The scale sheet tells metres to 0.3 %, or nothing where it was moved or is not there."""

import json
import logging
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from photographed_sheet import SIZE, UNIT, cameras, model_of, photograph
from scenes_on_disk import write_colmap

from datasets.capture.options import CaptureOptions
from datasets.capture.scale_sheet import DOTS, PAPERS, RULER, corner_places, corners_in, draw_sheet
from datasets.capture.sparse_model import read_sparse_model
from datasets.capture.true_size import find_true_size
from datasets.capture.undistort import undistort_images
from utils.errors import ConfigError
from utils.images import write_png


def write_photographs(folder: Path, model, **how) -> Path:
    for view, name in enumerate(model.names):
        write_png(folder / name, photograph(model, view, **how))
    return folder


@pytest.mark.parametrize("paper", PAPERS)
def test_the_sheet_is_drawn_at_its_size_and_leaves_a_margin(paper: str) -> None:
    sheet = draw_sheet(paper)
    assert sheet.shape == tuple(round(DOTS * length) for length in PAPERS[paper][::-1])
    rows, columns = (np.flatnonzero((sheet == 0).any(axis=axis)) for axis in (1, 0))
    for dark, length in ((rows, sheet.shape[0]), (columns, sheet.shape[1])):
        assert min(dark[0], length - 1 - dark[-1]) >= 8 * DOTS  # what printers leave white
    corners, pixels = corners_in(np.dstack([sheet] * 3))
    assert len(corners) == 24
    shift = pixels - DOTS * corner_places()[corners][:, :2]
    assert np.ptp(shift, axis=0).max() < 0.1
    row = max(range(len(sheet)), key=lambda row: int((sheet[row] == 0).sum()) if row > 0.8 * len(sheet) else 0)
    assert np.ptp(np.flatnonzero(sheet[row] == 0)) == pytest.approx(DOTS * RULER, abs=3)


@pytest.mark.parametrize(("num", "degrees"), [(2, 30.0), (6, 150.0)])
def test_the_scale_is_right_to_0_3_percent(tmp_path: Path, num: int, degrees: float) -> None:
    model = model_of(cameras(num, degrees))
    found = find_true_size(model, write_photographs(tmp_path, model))
    assert found.metres_per_unit == pytest.approx(UNIT, rel=0.003)
    assert abs(found.metres_per_unit / UNIT - 1.0) < 4.0 * found.error < 0.012
    assert (found.images, found.corners) == (num, 24 * num)
    assert found.pixels < 0.3


def test_a_print_of_another_size_is_told_by_its_ruler(tmp_path: Path) -> None:
    model = model_of(cameras(3))
    folder = write_photographs(tmp_path, model, printed=0.97)
    assert find_true_size(model, folder).metres_per_unit == pytest.approx(UNIT / 0.97, rel=0.003)
    assert find_true_size(model, folder, ruler=0.97 * RULER).metres_per_unit == pytest.approx(UNIT, rel=0.003)
    with pytest.raises(ConfigError, match="--ruler"):
        CaptureOptions(tmp_path, tmp_path / "out", ruler=16.0)


def test_what_tells_no_size_gives_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    model = model_of(cameras(3))
    assert find_true_size(model, write_photographs(tmp_path, model, sheet=False)) is None
    assert caplog.text == ""  # nobody laid one down
    write_png(tmp_path / "001.png", photograph(model, 1))
    assert find_true_size(model, tmp_path) is None
    assert "in one image only, 001.png" in caplog.text
    for view in range(3):  # as beside a turntable
        write_png(tmp_path / model.names[view], photograph(model, view, turned=0.3 * view))
    assert find_true_size(model, tmp_path) is None
    assert "was moved" in caplog.text
    still = model_of(cameras(2, degrees=0.02))
    assert find_true_size(still, write_photographs(tmp_path, still)) is None
    assert "too few sides" in caplog.text


def test_a_prepared_set_is_in_metres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, root = model_of(cameras(4)), tmp_path / "out"
    params = model.intrinsics[0]
    camera = pycolmap.Camera(model="PINHOLE", width=SIZE[0], height=SIZE[1], params=params, camera_id=1)
    write_colmap(root / "poses", model.c2w, [], names=list(model.names), camera=camera, model="models/0")
    write_photographs(root / "frames", model)
    monkeypatch.setattr("datasets.capture.undistort.is_turntable", lambda root: False)
    for name, options, scale in (
        ("sheet", CaptureOptions(tmp_path, root), pytest.approx(UNIT, rel=0.003)),
        ("given", CaptureOptions(tmp_path, root, scale=0.5), 0.5),
    ):
        (working := tmp_path / name).mkdir()
        report = undistort_images(options, working)
        told = json.loads((working / "scale.json").read_text(encoding="utf-8"))
        assert report["scale"] == told
        assert report["metres_per_unit"] == told["metres_per_colmap_unit"] == scale
        assert (told["metres_per_unit"], told["error"] is None) == (1.0, name == "given")
        centres = read_sparse_model(working / "sparse" / "0").c2w[:, :, 3]
        span = np.linalg.norm(centres[-1] - centres[0]) / np.linalg.norm(model.c2w[-1, :, 3] - model.c2w[0, :, 3])
        assert span == pytest.approx(told["metres_per_colmap_unit"], rel=1e-6)
