"""What a run's folder keeps of a configuration that a folder of photographs decided."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from systems.configs import read_experiment
from systems.runs import RunFolder
from systems.runs.recorded_config import ConfigRecord
from utils.config.compose import collect


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
