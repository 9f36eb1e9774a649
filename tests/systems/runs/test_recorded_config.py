"""What a run's folder keeps of a configuration that a folder of photographs decided."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from datasets.datamodule import SceneData
from systems.configs import read_experiment
from systems.runs import RunFolder
from systems.runs.recorded_config import ConfigRecord, config_files
from utils.config.compose import collect
from utils.errors import DataError


@pytest.mark.parametrize("num", [0, 2])
def test_a_run_keeps_the_lightings_that_it_began_with(tmp_path: Path, num: int) -> None:
    if num:
        lightings = [{"axis": None, "images": [f"{i}.jpg"]} for i in range(num)]
        (tmp_path / "lighting.json").write_text(json.dumps({"lightings": lightings}), encoding="utf-8")
    paths, overrides = ["configs/neus-capture.yaml"], [f"dataset.root_dir={tmp_path}"]
    experiment = read_experiment(paths, overrides)
    assert experiment.model.lightings == num
    record = ConfigRecord.of(RunFolder(tmp_path / "run"), paths, collect(paths, overrides), experiment)
    merged = OmegaConf.create(record.merged)
    assert OmegaConf.to_container(merged)["model"]["lightings"] == num  # a number, and no longer what it is counted by
    assert "${" in OmegaConf.to_container(merged)["model"]["texture"]["input_feature_dim"]  # others follow their keys


def test_what_depends_on_the_folder_of_the_data_moves_with_it(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gt_mesh.ply").write_text("")
    paths, overrides = ["configs/neus-demo.yaml"], [f"dataset.root_dir={tmp_path / 'old'}"]
    sources = collect(paths, overrides)
    run = RunFolder(tmp_path / "run")
    ConfigRecord.of(run, paths, sources, read_experiment(paths, overrides)).create()
    assert read_experiment(config_files(run), []).dataset.gt_mesh == str(tmp_path / "old/gt_mesh.ply")
    moved = read_experiment(config_files(run), [f"dataset.root_dir={tmp_path / 'new'}"])
    assert moved.dataset.gt_mesh == str(tmp_path / "new/gt_mesh.ply")


def test_a_true_mesh_that_is_gone_is_named_with_its_key(tmp_path):
    paths, overrides = ["configs/neus-demo.yaml"], [f"dataset.gt_mesh={tmp_path / 'gt_mesh.ply'}"]
    config = read_experiment(paths, overrides).dataset
    with pytest.raises(DataError, match=r"dataset\.gt_mesh: .*gt_mesh\.ply: no such file.*dataset\.gt_mesh=PATH"):
        SceneData(config, True, 1, "reference")
