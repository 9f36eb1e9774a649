"""A length that the user knows, between two points clicked in photographs, tells metres to 0.3 %, or why not."""

import json
import logging
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from photographed_sheet import SIZE, UNIT, cameras, model_of
from scenes_on_disk import write_colmap

from datasets.capture.known_length import size_by_length
from datasets.capture.options import CaptureOptions
from datasets.capture.region.stage import locate_object
from datasets.capture.sparse_model import SparseModel, read_sparse_model
from datasets.capture.typed_length import parse_known_length
from datasets.capture.undistort import undistort_images
from datasets.region import read_region
from scripts.prepare import main
from utils.errors import CaptureError, ConfigError
from utils.images import write_png

ENDS = np.array([[-0.35, 0.1, 0.0], [0.3, -0.15, 0.2]])  # in units
METRES = UNIT * float(np.linalg.norm(ENDS[1] - ENDS[0]))


def clicks(model: SparseModel, point: np.ndarray, views: tuple[int, ...] = (0, 1, 2)) -> list[str]:
    """The whole pixels that a person clicks."""
    places = {view: np.floor(model.project(view, point[None])[0][0]).astype(int) for view in views}
    return [f"{model.names[view]}:{x},{y}" for view, (x, y) in places.items()]


def known(model: SparseModel, metres: float = METRES, **how):
    return parse_known_length(metres, *(clicks(model, end, **how) for end in ENDS))


@pytest.mark.parametrize(("num", "views"), [(3, (0, 1, 2)), (3, (0, 2)), (6, (0, 1, 3, 5))])
def test_the_scale_is_right_to_0_3_percent(num: int, views: tuple[int, ...], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    model = model_of(cameras(num))
    found = size_by_length(model, known(model, views=views))
    assert found.metres_per_unit == pytest.approx(UNIT, rel=0.003)
    assert abs(found.metres_per_unit / UNIT - 1.0) < 3.0 * found.error
    assert (found.images, found.corners, found.by) == (len(views), 2 * len(views), "known length")
    assert f"in metres, by the length of {METRES:g} m in {len(views)} images: +- 0." in caplog.text


def test_the_error_is_how_much_clicks_that_err_move_the_scale() -> None:
    model, rng = model_of(cameras(4, 60.0)), np.random.default_rng(0)
    told, found = [], []
    for _ in range(60):
        ends = [
            [f"{model.names[v]}:{x - 0.5},{y - 0.5}" for v in range(4) for x, y in model.project(v, end[None])[0]
             + rng.normal(0.0, 1.0, 2)]
            for end in ENDS
        ]  # fmt: skip
        size = size_by_length(model, parse_known_length(METRES, *ends))
        told.append(size.error)
        found.append(size.metres_per_unit / UNIT - 1.0)
    assert 0.7 < np.std(found) / np.mean(told) < 1.3


def test_what_tells_no_length_is_one_line() -> None:
    model = model_of(cameras(3))
    other = clicks(model, ENDS[0], views=(0, 1)) + clicks(model, ENDS[0] + [0.0, 0.0, 0.05], views=(2,))
    with pytest.raises(CaptureError, match=r"002.png:\d+,\d+: the rays miss each other by \d+\.\d pixels"):
        size_by_length(model, parse_known_length(METRES, other, clicks(model, ENDS[1])))
    with pytest.raises(CaptureError, match=r"^9\.png:1,1: expected .* 000\.png to 002\.png, .*, got 9\.png"):
        size_by_length(model, parse_known_length(METRES, ["0.png:1,1", "9.png:1,1"][::-1], clicks(model, ENDS[1])))
    with pytest.raises(CaptureError, match=r"000.png:640,1: lies outside of the 640 x 480 pixels"):
        size_by_length(model, parse_known_length(METRES, ["000.png:640,1", "001:1,1"], clicks(model, ENDS[1])))
    still = model_of(cameras(3, degrees=0.2))
    with pytest.raises(CaptureError, match=r"known to \+- .* % only, and 2 % is the most"):
        size_by_length(still, known(still))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--known-length", "0.1"], "--known-length, --between and --and: belong together"),
        (["--between", "a:1,1", "b:1,1"], "belong together"),
        (["--known-length", "-1", "--between", "a:1,1", "b:1,1", "--and", "a:1,1", "b:1,1"], "above 0, got -1"),
        (["--known-length", "1", "--between", "a:1,1", "a:2,1", "--and", "a:1,1", "b:1,1"], "at least two photographs"),
        (["--known-length", "1", "--between", "a:1,1", "b:1", "--and", "a:1,1", "b:1,1"], "PHOTO:X,Y, .* 'b:1'"),
        (
            ["--scale", "1", "--known-length", "1", "--between", "a:1,1", "b:1,1", "--and", "a:1,1", "b:1,1"],
            "--scale and --known-length",
        ),
    ],
)  # fmt: skip
def test_wrong_flags_are_refused_before_anything_runs(flags, told, tmp_path: Path, capsys) -> None:
    (tmp_path / "photos").mkdir()
    assert main([str(tmp_path / "photos"), str(tmp_path / "out"), *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    with pytest.raises(ConfigError, match=told):
        raise ConfigError(error)


def test_a_prepared_set_is_in_metres_and_its_meshes_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, root = model_of(cameras(3)), tmp_path / "out"
    camera = pycolmap.Camera(model="PINHOLE", width=SIZE[0], height=SIZE[1], params=model.intrinsics[0], camera_id=1)
    points = np.random.default_rng(0).normal(0.0, 0.1, (200, 3))
    write_colmap(root / "poses", model.c2w, [], points=points, names=list(model.names), camera=camera, model="models/0")
    for name in model.names:
        write_png(root / "frames" / name, np.full((*SIZE[::-1], 3), 90, np.uint8))
    for stage in ("undistort", "region.stage"):
        monkeypatch.setattr(f"datasets.capture.{stage}.is_turntable", lambda root: False)
    options = CaptureOptions(tmp_path, root, known_length=known(model), roi="0,0,0,0.3")
    undistort_images(options, root)
    told = json.loads((root / "scale.json").read_text(encoding="utf-8"))
    assert told["by"] == "known length"
    assert told["metres_per_colmap_unit"] == pytest.approx(UNIT, rel=0.003)
    centres = read_sparse_model(root / "sparse" / "0").c2w[:, :, 3]
    span = np.linalg.norm(centres[-1] - centres[0]) / np.linalg.norm(model.c2w[-1, :, 3] - model.c2w[0, :, 3])
    assert span == pytest.approx(UNIT, rel=0.003)
    locate_object(options, root)
    assert read_region(root / "region.json").metres_per_unit == 1.0
