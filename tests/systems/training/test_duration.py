"""How long a training takes is told in words, for what the estimate knows, and quickly."""

import time

import pytest
import torch

from models.network_configs import FrequencyConfig
from models.ops.roofline import CARDS, H200
from systems.configs import read_experiment
from systems.training import banner, duration

CPU = torch.device("cpu")
T4 = CARDS[-1]


def experiment(*overrides: str):
    steps = "trainer.max_steps=20000"
    return read_experiment(["configs/neus-blender.yaml"], ["dataset.scene=lego", steps, *overrides])


def test_seconds_are_told_as_an_estimate_with_its_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    assert duration.describe_duration(experiment(), 0, CPU) == ""
    monkeypatch.setattr(duration, "specs_of", lambda device: H200)
    assert duration.describe_duration(experiment(), 0, CPU) == "20,000 steps in about 18 s (estimated)"
    assert duration.describe_duration(experiment(), 10_000, CPU) == "10,000 steps in about 9 s (estimated)"
    assert duration.describe_duration(experiment(), 20_000, CPU) == ""
    monkeypatch.setattr(duration, "specs_of", lambda device: T4)
    told = duration.describe_duration(experiment(), 0, CPU)
    assert told.startswith("20,000 steps in about 4.5 min (estimated; no such card was timed yet")


def test_the_line_of_the_kernels_ends_in_it_where_there_is_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duration, "specs_of", lambda device: H200)
    told = banner.describe_kernels("train", experiment(), 0, CPU)
    assert "multiply float16 forward and bfloat16 backward; 20,000 steps in about 18 s (estimated)" in told
    assert "about" not in banner.describe_kernels("test", experiment(), 0, CPU)


def test_more_work_takes_longer_and_an_unknown_field_has_no_estimate() -> None:
    plain = duration.step_milliseconds(experiment(), T4)
    for longer in ("model.train_num_rays=512", "model.background.name=learned", "system.exposure=true"):
        assert duration.step_milliseconds(experiment(longer), T4) > 1.05 * plain
    patches = [duration.step_milliseconds(experiment(f"system.loss.lambda_ncc={weight}"), T4) for weight in ("0", "1")]
    half = duration.step_milliseconds(experiment("system.loss.lambda_ncc=[[10000, 0.], [10000, 1.]]"), T4)
    assert half == pytest.approx(sum(patches) / 2)
    nerf = read_experiment(["configs/nerf-blender.yaml"], ["dataset.scene=lego"])
    assert duration.step_milliseconds(nerf, H200) < duration.step_milliseconds(experiment(), H200)
    object.__setattr__(nerf.model.geometry, "xyz_encoding_config", FrequencyConfig())
    assert duration.step_milliseconds(nerf, H200) is None


def test_an_estimate_delays_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duration, "specs_of", lambda device: T4)
    asked, begun = experiment(), time.process_time()
    duration.describe_duration(asked, 0, CPU)
    assert time.process_time() - begun < 0.05
