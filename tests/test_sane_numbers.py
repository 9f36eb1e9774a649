"""A run in which NaN comes up, or memory runs out, goes on from its last good state, and says so."""

import json
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from sphere_scene import write_sphere_scene
from struck_runs import Killed, go_on, kill, run_in, same, start, steps_on_disk, strike, weights

from models.ops.refusals import KernelRefusedError
from systems.export import exporter
from systems.steps.step import Figures, TrainingStep
from systems.training.attempts import Attempt, Job


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sphere_scene(tmp_path_factory.mktemp("sphere"))


def poison(step: TrainingStep) -> None:
    with torch.no_grad():
        next(step.model.parameters()).fill_(float("nan"))


def test_nan_takes_the_run_back_to_its_last_good_state(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    seen, seeds = strike(monkeypatch, 12, poison), []
    struck = TrainingStep.run

    def run(own: TrainingStep, step: int) -> Figures:
        seeds.append(own.experiment.seed)
        return struck(own, step)

    monkeypatch.setattr(TrainingStep, "run", run)
    assert start(scene, tmp_path) == 0
    assert len(set(seeds[:15])) == 1
    assert seeds[0] != seeds[-1]  # other rays
    assert seen[:13] == list(range(13))
    assert seen.count(8) == 2, seen
    assert max(index for index, step in enumerate(seen) if step == 8) - 13 <= 3  # noticed at the next figures
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "NaN" in line]
    assert "going on from step 8" in line
    found = weights(run_in(tmp_path))
    assert all(torch.isfinite(value).all() for value in found.values())
    assert "going on from step 8" in (run_in(tmp_path) / "save/metrics.json").read_text()


def test_a_backward_kernel_that_is_refused_costs_the_steps_since_the_last_checkpoint_and_nothing_else(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(step: TrainingStep) -> None:
        seeds.append(step.experiment.seed)
        raise KernelRefusedError("a kernel of mlp.mlp does not compile for this card")

    seeds: list[int] = []
    seen = strike(monkeypatch, 12, refuse)
    assert start(scene, tmp_path) == 0
    assert seen[:13] == list(range(13))
    assert seen[13:] == list(range(8, seen[-1] + 1))
    config = yaml.safe_load((run_in(tmp_path) / "config/parsed.yaml").read_text(encoding="utf-8"))
    assert config["seed"] == seeds[0]  # the rays are those that it would have taken


def test_a_training_that_begins_anew_corrects_the_cameras_that_were_given(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those that a validation pass before the NaN was shown by."""
    seen = strike(monkeypatch, 6, poison)
    moving = ["system.refine_poses=0.01", "trainer.val_check_interval=5", "checkpoint.every_n_train_steps=16"]
    assert start(scene, tmp_path, *moving) == 0
    assert seen.count(0) == 2
    found = weights(run_in(tmp_path))
    assert found["poses.turns"].abs().max() > 1e-3
    frames = json.loads((scene / "transforms_train.json").read_text())["frames"]
    given = torch.tensor([frame["transform_matrix"] for frame in frames])
    opencv = torch.cat([given[:, :3, :1], -given[:, :3, 1:3], given[:, :3, 3:]], dim=-1)
    assert torch.allclose(found["poses.given"], opencv, atol=1e-5)


def test_nan_before_the_first_checkpoint_begins_anew(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = strike(monkeypatch, 4, poison)
    assert start(scene, tmp_path) == 0
    assert seen.count(0) == 2
    assert all(torch.isfinite(value).all() for value in weights(run_in(tmp_path)).values())


def test_nan_that_is_never_written_ends_after_bounded_returns(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    run = TrainingStep.run

    def poisoned(self: TrainingStep, step: int) -> object:
        if step == 15:  # the checkpoint of step 16 is due before any figure is read
            poison(self)
        return run(self, step)

    monkeypatch.setattr(TrainingStep, "run", poisoned)
    assert start(scene, tmp_path) == 2
    assert steps_on_disk(run_in(tmp_path)) == [8]
    assert "also after 3 returns" in capsys.readouterr().err


def no_memory(step: TrainingStep) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7 GiB.")


def test_without_memory_the_sample_budget_is_halved(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    seen, prepare, systems = strike(monkeypatch, 12, no_memory), Job.prepare, []

    def prepare_alone(job: Job) -> Attempt:
        assert all(system() is None for system in systems)  # its memory is free for the next one
        attempt = prepare(job)
        systems.append(weakref.ref(attempt.system))
        return attempt

    monkeypatch.setattr(Job, "prepare", prepare_alone)
    assert start(scene, tmp_path) == 0
    assert len(systems) == 2
    assert seen[13] == 8
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "out of memory" in line]
    assert "model.train_num_rays=16, model.max_train_num_rays=64" in line
    assert steps_on_disk(run_in(tmp_path)) == [8, 16, 24]


@pytest.mark.parametrize(
    ("harm", "applied"),
    [(poison, {"seed": 43}), (no_memory, {"model": {"train_num_rays": 16, "max_train_num_rays": 64}})],
)
def test_what_trouble_has_changed_holds_for_a_resumed_run(
    scene: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    harm: Callable[[TrainingStep], None],
    applied: dict,
) -> None:
    """It ends in the same weights as the live run, to the bit."""
    for name in ("live", "killed"):
        with monkeypatch.context() as patch:
            strike(patch, 12, harm)
            if name == "killed":
                strike(patch, 18, kill)
                with pytest.raises(Killed):
                    start(scene, tmp_path / name)
            else:
                assert start(scene, tmp_path / name) == 0
        folder = run_in(tmp_path / name) / "config"
        assert yaml.safe_load((folder / "applied.yaml").read_text(encoding="utf-8")) == applied
        parsed = yaml.safe_load((folder / "parsed.yaml").read_text(encoding="utf-8"))
        assert parsed["seed"] == applied.get("seed", 42)
        assert parsed["model"]["train_num_rays"] == applied.get("model", {}).get("train_num_rays", 32)
    capsys.readouterr()
    assert go_on(tmp_path / "killed") == 0
    assert same(weights(run_in(tmp_path / "killed")), weights(run_in(tmp_path / "live")))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "applied.yaml" in line]
    assert "an earlier training had to change" in line


def test_an_override_goes_before_what_trouble_has_changed(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        strike(patch, 12, no_memory)
        strike(patch, 18, kill)
        with pytest.raises(Killed):
            start(scene, tmp_path)
    assert go_on(tmp_path, "model.train_num_rays=24") == 0
    folder = run_in(tmp_path) / "config"
    assert yaml.safe_load((folder / "applied.yaml").read_text()) == {"model": {"max_train_num_rays": 64}}
    assert yaml.safe_load((folder / "parsed.yaml").read_text())["model"]["train_num_rays"] == 24


def test_chunks_that_had_to_be_halved_are_written_down(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = exporter.extract_surface

    def limited(model: object, resolution: int, level: float, chunk: int, *more: object) -> object:
        if chunk > 2**20:
            no_memory(None)
        return extract(model, resolution, level, chunk, *more)

    monkeypatch.setattr(exporter, "extract_surface", limited)
    assert start(scene, tmp_path) == 0
    folder = run_in(tmp_path) / "config"
    assert yaml.safe_load((folder / "applied.yaml").read_text()) == {"export": {"chunk_size": 2**20}}
    assert yaml.safe_load((folder / "parsed.yaml").read_text())["export"]["chunk_size"] == 2**20


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="records on a GPU only")
@pytest.mark.parametrize("harm", [poison, no_memory])
def test_recorded_steps_are_made_anew(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[TrainingStep], None]
) -> None:
    seen = strike(monkeypatch, 12, harm)
    assert start(scene, tmp_path, "--gpu", "0") == 0
    assert seen.count(8) == 2
    assert steps_on_disk(run_in(tmp_path)) == [8, 16, 24]
    assert all(torch.isfinite(value).all() for value in weights(run_in(tmp_path)).values())
