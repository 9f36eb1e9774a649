"""A scene in millimetres: refused with the radius that fits, and trained with `model.radius=auto`."""

import json
from pathlib import Path

import pytest
import yaml
from sphere_scene import RADIUS, write_sphere_scene
from struck_runs import Killed, go_on, kill, run_in, start, strike


@pytest.fixture(scope="module")
def millimetres(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_sphere_scene(tmp_path_factory.mktemp("millimetres") / "scene")
    for path in root.glob("transforms_*.json"):
        meta = json.loads(path.read_text())
        for frame in meta["frames"]:
            for row in frame["transform_matrix"][:3]:
                row[3] *= 1000.0
        path.write_text(json.dumps(meta))
    return root


def test_a_region_beside_the_object_ends_before_training(millimetres, tmp_path, capsys):
    assert start(millimetres, tmp_path) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: model.radius=1.1: only 0 % of the object's pixels")
    assert "Set model.radius=auto" in line
    assert not (tmp_path / "exp").exists()


def test_auto_is_a_number_in_the_run_and_for_those_that_go_on(millimetres, tmp_path, monkeypatch):
    strike(monkeypatch, 3, kill)
    with pytest.raises(Killed):
        start(millimetres, tmp_path, "model.radius=auto", "checkpoint.every_n_train_steps=2")
    run = run_in(tmp_path)
    model = yaml.safe_load((run / "config/parsed.yaml").read_text())["model"]
    assert model["radius"] == pytest.approx(1.1 * 1000.0 * RADIUS, rel=0.05)
    assert model["geometry"]["radius"] == model["radius"]
    for step, override in ((4, ()), (5, ("model.radius=auto",))):
        monkeypatch.undo()
        strike(monkeypatch, step, kill)
        with pytest.raises(Killed):
            go_on(tmp_path, *override)
        assert yaml.safe_load((run / "config/parsed.yaml").read_text())["model"] == model
