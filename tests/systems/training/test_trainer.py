"""metrics.json keeps what a later test pass at the same step does not measure anew, warnings included."""

import json
from types import SimpleNamespace

import torch

from systems.runs import RunFolder
from systems.training.callbacks import TrainingClock
from systems.training.devices import Devices
from systems.training.trainer import write_metrics


def test_warnings_of_passes_at_the_same_step_are_joined(tmp_path):
    trainer = SimpleNamespace(callbacks=[TrainingClock()])

    def written(mode, step, warned, **report):
        data = SimpleNamespace(views=lambda split, device: SimpleNamespace(image_names=["a", "b"]))
        system = SimpleNamespace(report=report, current_step=step, data=data, device=torch.device("cpu"))
        write_metrics(trainer, system, RunFolder(tmp_path), Devices.single(torch.device("cpu")), mode, warned)
        return json.loads((tmp_path / "save" / "metrics.json").read_text())

    assert written("train", 5, ["dark", "small"], psnr=1.0)["warnings"] == ["dark", "small"]
    again = written("test", 5, ["small", "odd"], psnr=2.0)
    assert again["warnings"] == ["dark", "small", "odd"]
    assert (again["psnr"], again["train_seconds"]) == (2.0, 0.0)
    assert written("train", 9, [], psnr=3.0)["warnings"] == []
