"""Prepared series become one dataset in the frame of the first, without what the object stood on."""

import json

import numpy as np
import pycolmap
import pytest
from moved_object import NUM_POINTS, STANDING, lying, write_series

from datasets.capture.series.prepared import PreparedSeries, has_doubtful_masks
from datasets.capture.series.stage import _doubts, join_series
from datasets.capture.sparse_model import read_sparse_model
from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.geometry.agreement import agreement
from datasets.lighting import LIGHTING_FILE, Lighting, read_lightings, write_lightings
from datasets.region import OBJECT_FILE, read_region
from utils.errors import CaptureError


def prepared(series, label: str) -> PreparedSeries:
    return PreparedSeries(label, series.root, series.root)


def working(tmp_path):
    folder = tmp_path / "prepare" / "join.working"
    folder.mkdir(parents=True)
    return folder


def test_series_are_joined(tmp_path):
    standing = write_series(tmp_path / "series" / "a", "x_", STANDING, 1)
    on_its_side = write_series(tmp_path / "series" / "b", "y_", lying(1.3), 2)
    out = working(tmp_path)
    report = join_series([prepared(standing, "a"), prepared(on_its_side, "b")], out)
    model = read_sparse_model(out / "sparse" / "0")
    assert list(model.names) == standing.names + on_its_side.names
    found = agreement(model.c2w, np.concatenate([standing.c2w, on_its_side.c2w]))
    assert np.median(found.centre_errors) < 0.003
    assert found.centre_errors.max() < 0.02
    single = read_sparse_model(standing.root / "sparse" / "0")  # the frame is that of the first series
    assert np.abs(single.c2w[:, :, 3] - model.c2w[: len(single.names), :, 3]).max() < 0.05
    assert report["shared_points"] > 0.5 * NUM_POINTS
    assert len(model.points) < 1.2 * NUM_POINTS  # those of the table are dropped, those of both series merged
    assert model.points[:, 2].min() > -0.05
    reread = pycolmap.Reconstruction(out / "sparse" / "0")
    assert {point.track.length() for point in reread.points3D.values()} > {2}
    region = read_region(out / OBJECT_FILE)
    assert region.ground is None
    assert report["underside_seen"]
    assert report["doubts"] == []
    assert np.linalg.norm(region.center - STANDING[:3, 3]) < 0.1
    assert {path.name for path in out.iterdir()} == {
        *("images", "sparse", "masks", "masks.png", "object.json"),
        *("region.json", "region.ply", "region.png", "sparse_points.ply", "lighting.json"),
    }
    lit, lit_otherwise = read_lightings(out / "lighting.json")
    assert (list(lit.images), list(lit_otherwise.images)) == (standing.names, on_its_side.names)
    assert lit.axis is None
    scene = ColmapLoader(ColmapConfig(str(out))).load("train")
    assert scene.has_alpha
    assert scene.ground is None


def test_the_axis_of_a_turntable_is_kept_in_the_joint_frame(tmp_path):
    standing = write_series(tmp_path / "series" / "a", "x_", STANDING, 1)
    on_its_side = write_series(tmp_path / "series" / "b", "y_", lying(1.3), 2)
    for one in (standing, on_its_side):
        write_lightings([Lighting(tuple(one.names), np.array([0.0, 0.0, 1.0]))], one.root / LIGHTING_FILE)
    out = working(tmp_path)
    join_series([prepared(standing, "a"), prepared(on_its_side, "b")], out)
    first, second = read_lightings(out / LIGHTING_FILE)
    np.testing.assert_allclose(first.axis, [0.0, 0.0, 1.0], atol=1e-6)
    object_to_world = [STANDING[:3, :3], lying(1.3)[:3, :3]]
    expected = object_to_world[0] @ object_to_world[1].T @ [0.0, 0.0, 1.0]
    np.testing.assert_allclose(second.axis, expected / np.linalg.norm(expected), atol=0.02)


def test_names_get_the_label_where_two_series_share_them(tmp_path):
    series = [
        write_series(tmp_path / "a", "", STANDING, 1),
        write_series(tmp_path / "b", "", STANDING, 2),
    ]
    out = working(tmp_path)
    report = join_series([prepared(one, label) for one, label in zip(series, "ab", strict=True)], out)
    names = [path.name for path in sorted((out / "images").iterdir())]
    assert names[:2] == ["a_000.jpg", "a_001.jpg"]
    assert names[-1] == "b_013.jpg"
    assert sorted(path.stem for path in (out / "masks").iterdir()) == [name[:-4] for name in names]
    assert read_region(out / OBJECT_FILE).ground is not None  # it was not turned over: no photo shows its underside
    assert not report["underside_seen"]


def test_masks_are_as_doubtful_as_their_stage_said(tmp_path):
    (tmp_path / "prepare").mkdir()
    for report, doubtful in (
        ({"agreement": 0.95, "told": 0.7}, False),
        ({"agreement": 0.85, "told": 0.7}, True),
        ({"agreement": 0.95, "told": 0.3}, True),
        ({"kind": "given"}, False),
    ):
        record = {"stage": "masks", "outputs": [], "report": report}
        (tmp_path / "prepare" / "masks.json").write_text(json.dumps(record), encoding="utf-8")
        assert has_doubtful_masks(PreparedSeries("a", tmp_path, tmp_path)) == doubtful


def test_doubts_are_told():
    everywhere = np.random.default_rng(0).normal(size=(200, 3))
    assert _doubts(everywhere, 2.0, 0.95) == []
    assert "only 20 points" in _doubts(everywhere[:20], 2.0, 0.95)[0]
    assert "small part" in _doubts(everywhere * [1.0, 0.1, 0.1], 2.0, 0.95)[0]
    assert "agree by only 85%" in _doubts(everywhere, 2.0, 0.85)[0]


def test_a_series_without_masks_is_refused(tmp_path):
    series = [write_series(tmp_path / "a", "x_", STANDING, 1), write_series(tmp_path / "b", "y_", lying(), 2)]
    for mask in (series[1].root / "masks").iterdir():
        mask.unlink()
    record = {"stage": "masks", "outputs": [], "report": {"kind": "none", "reason": "no plane was found"}}
    (series[1].root / "prepare").mkdir()
    (series[1].root / "prepare" / "masks.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(CaptureError, match="series b has no masks: no plane was found"):
        join_series([prepared(one, label) for one, label in zip(series, "ab", strict=True)], working(tmp_path))


def test_masks_that_contradict_each_other_are_refused(tmp_path):
    series = [
        write_series(tmp_path / "a", "x_", STANDING, 1),
        write_series(tmp_path / "b", "y_", lying(), 2, swollen=1.5),
    ]
    with pytest.raises(CaptureError, match="masks of the joined series contradict each other"):
        join_series([prepared(one, label) for one, label in zip(series, "ab", strict=True)], working(tmp_path))
