"""Each key that is changed at a resume takes effect and is recorded, or is refused in one line that names it."""

import csv
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from sphere_scene import write_sphere_scene
from struck_runs import STEPS, Killed, kill, run_in, start, steps_on_disk, strike
from variants import DIFFERENCES, GRID

import launch
from systems.steps.step import TrainingStep

BEGUN = 16  # step of the checkpoint that all of these go on from


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was killed after its checkpoint of step 16."""
    out = tmp_path_factory.mktemp("killed")
    scene = write_sphere_scene(out / "scene")
    with pytest.MonkeyPatch.context() as patch:
        strike(patch, BEGUN + 1, kill)
        with pytest.raises(Killed):
            start(scene, out, "tag=t")
    assert steps_on_disk(run_in(out)) == [8, 16]
    return run_in(out)


@pytest.fixture
def run(killed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(killed, tmp_path / "exp/neus-demo" / killed.name))


def resume(run: Path, *args: str, mode: str = "--train") -> int:
    return launch.main(["--resume", str(run), mode, "--gpu", "cpu", "--runs_dir", str(run.parent / "runs"), *args])


def parsed(run: Path, name: str = "config/parsed.yaml") -> dict:
    return yaml.safe_load((run / name).read_text(encoding="utf-8"))


def weights_after_a_step(run: Path, *args: str) -> dict[str, torch.Tensor]:
    """The parameters after the first step that a resumed run takes; it is killed then."""
    found = {}

    def look(step: TrainingStep) -> None:
        found.update({name: value.clone() for name, value in step.model.state_dict().items()})
        kill(step)

    with pytest.MonkeyPatch.context() as patch:
        strike(patch, BEGUN + 1, look)
        with pytest.raises(Killed):
            resume(run, *args)
    return found


@pytest.fixture(scope="module")
def unchanged(killed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    run = Path(shutil.copytree(killed, tmp_path_factory.mktemp("unchanged") / killed.name))
    before = {path.name: path.read_bytes() for path in (run / "config").iterdir()}
    found = weights_after_a_step(run)
    assert {path.name: path.read_bytes() for path in (run / "config").iterdir()} == before
    return found


ARGS = "system.optimizer.args"
EFFECTIVE = [
    ["dataset.img_wh=[12,12]"],
    ["dataset.mask_band=2"],
    ["model.train_num_rays=16"],
    ["model.randomized=false"],
    ["model.background_color=black"],
    ["model.cos_anneal_end=1000"],
    ["model.texture.color_activation=none"],
    DIFFERENCES,
    ["system.loss.lambda_eikonal=5.0"],
    ["system.loss.lambda_sparsity=[0,1,2,100]"],
    [f"{ARGS}.lr=0.001"],
    ["system.optimizer.params.texture.lr=0.001"],
    ["system.optimizer.name=Adam"],
    ["system.warmup_steps=20"],
    ["system.final_lr_share=0.0001"],
    ["system.error_guided=0.5"],
    ["trainer.max_steps=48"],
    ["seed=7"],
]
ALIKE = [  # read where others of these are
    ["model.num_samples_per_ray=16"],
    ["system.loss.lambda_rgb_mse=0.5"],
    [f"{ARGS}.betas=[0.5,0.6]"],
    [f"{ARGS}.eps=0.1"],
    [f"{ARGS}.weight_decay=5.0"],
    ["system.optimizer.params.texture.weight_decay=5.0"],
]
EFFECTIVE += [pytest.param(overrides, marks=pytest.mark.soak) for overrides in ALIKE]


@pytest.mark.parametrize("overrides", EFFECTIVE, ids=lambda overrides: overrides[0])
def test_a_changed_key_changes_the_training(run: Path, unchanged: dict, overrides: list[str]) -> None:
    before = parsed(run)
    found = weights_after_a_step(run, *overrides)
    assert any(not torch.equal(value, unchanged[name]) for name, value in found.items())
    assert parsed(run, f"config/parsed-until-step-{BEGUN}.yaml") == before
    assert parsed(run) != before


def test_a_changed_key_holds_without_being_given_again(run: Path, unchanged: dict) -> None:
    found = weights_after_a_step(run, "seed=7", "model.train_num_rays=16", f"{ARGS}.lr=0.001")
    again = weights_after_a_step(run)
    assert all(torch.equal(value, found[name]) for name, value in again.items())
    twice = weights_after_a_step(run, f"{ARGS}.lr=0.01", "seed=42")
    assert any(not torch.equal(value, found[name]) for name, value in twice.items())
    names = [f"parsed-until-step-{BEGUN}{number}.yaml" for number in ("", "-2")]
    assert [parsed(run, f"config/{name}")["seed"] for name in names] == [42, 7]
    assert parsed(run)["seed"] == 42


REFUSED = [
    ([f"{GRID}.n_levels=5"], [f"{GRID}.n_levels 4 -> 5", "belongs to another model"]),
    ([f"{GRID}.log2_hashmap_size=9"], [f"{GRID}.log2_hashmap_size 10 -> 9"]),
    ([f"{GRID}.n_features_per_level=4"], [f"{GRID}.n_features_per_level 2 -> 4"]),
    (["model.geometry.feature_dim=9"], ["model.geometry.feature_dim 13 -> 9"]),
    (["model.geometry.mlp_network_config.n_neurons=32"], ["model.geometry.mlp_network_config.n_neurons 64 -> 32"]),
    (["model.texture.mlp_network_config.n_hidden_layers=1"], ["model.texture.mlp_network_config.n_hidden_layers"]),
    (["model.grid_resolution=8"], ["model.grid_resolution 16 -> 8"]),
    (["model.background=learned"], ["model.background"]),
    (["model.variance.init_val=0.5"], ["model.variance.init_val: is where a training starts"]),
    (["model.geometry.mlp_network_config.sphere_init_radius=0.1"], ["sphere_init_radius: is where a training starts"]),
    (["model.name=nerf"], ["model"]),
    (["system.exposure=true"], ["system.exposure"]),
    (["system.vignette=true"], ["system.vignette, system.response: the checkpoint has neither, the training vignette"]),
    (["trainer.max_steps=10"], ["is at step 16, beyond trainer.max_steps=10", "--resume CKPT", "--test"]),
    (["name=other"], ["command line: name: names the folder of a new run", "--resume_weights_only"]),
    (["tag=other"], ["command line: tag: names the folder"]),
    (["trial_name=other"], ["command line: trial_name: names the folder"]),
    (["dataset.root_dir=nowhere"], ["nowhere"]),
    (["dataset.name=colmap"], ["dataset"]),
    (["export.formats=[]x"], ["export.formats"]),
]


@pytest.mark.parametrize(("overrides", "said"), REFUSED, ids=lambda value: value[0])
def test_a_key_that_can_have_no_effect_is_refused(
    run: Path, overrides: list[str], said: list[str], capsys: pytest.CaptureFixture
) -> None:
    before = {path.name: path.read_bytes() for path in (run / "config").iterdir()}
    assert resume(run, *overrides) == 2
    told = capsys.readouterr().err
    line = told.splitlines()[-1]
    assert line.startswith("error: ")
    assert all(word in line for word in said), line
    assert "Traceback" not in told
    assert {path.name: path.read_bytes() for path in (run / "config").iterdir()} == before
    assert steps_on_disk(run) == [8, 16]


def test_keys_that_change_no_weight_take_effect(run: Path) -> None:
    overrides = [
        "trainer.log_every_n_steps=2",
        "trainer.val_check_interval=20",
        "trainer.limit_val_batches=1",
        "checkpoint.every_n_train_steps=10",
        "checkpoint.save_top_k=1",
        "model.geometry.isosurface.resolution=24",
        "export.formats=[ply]",
        "export.report=true",
    ]
    assert resume(run, *overrides) == 0
    assert steps_on_disk(run) == [STEPS]
    assert [path.name for path in (run / "save/it20-val").iterdir()] == ["000.png"]
    assert (run / f"save/it{STEPS}-mc24.ply").is_file()
    assert not list((run / "save").glob("*.obj"))
    assert (run / "save/report.html").is_file()
    with open(sorted((run / "csv_logs").glob("version_*/metrics.csv"))[-1], encoding="utf-8") as file:
        assert [int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]] == [17, 19, 21, 23]
    assert parsed(run, "save/config.yaml") == parsed(run)


def rates_of(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """The rate of the first group in each step that is run from now on."""
    rates, own = {}, TrainingStep.run

    def noted(step: TrainingStep, number: int) -> object:
        figures = own(step, number)
        rates[number] = step.optimizer.param_groups[0]["lr"]
        return figures

    monkeypatch.setattr(TrainingStep, "run", noted)
    return rates


def test_more_steps_stretch_the_schedules_and_hold_after_a_kill(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The rate of a step is that of a run that was asked for as many steps from its start."""
    with monkeypatch.context() as patch:
        strike(patch, 34, kill)
        with pytest.raises(Killed):
            resume(run, "trainer.max_steps=40", "trainer.save_every_minutes=0.0001")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "config changed at step 16" in line]
    assert "trainer.max_steps 24 -> 40" in line
    assert "model.cos_anneal_end 4 -> 8" in line
    assert (parsed(run)["trainer"]["max_steps"], parsed(run)["model"]["cos_anneal_end"]) == (40, 8)
    rates = rates_of(monkeypatch)
    assert resume(run) == 0
    assert max(rates) == 39
    schedule = launch.load_experiment(launch.parse_args(["--config", str(run / "config/parsed.yaml"), "--train"]))
    gamma = 0.1 ** (1.0 / (40 - 4))
    for step, rate in rates.items():
        assert rate == 0.01 * schedule.system.scheduler.at(step) == pytest.approx(0.01 * gamma ** (step - 4))
    assert (run / "ckpt/epoch=0-step=40.ckpt").is_file()


def test_a_run_without_the_merged_file_goes_on_from_the_resolved_one(
    run: Path, unchanged: dict, capsys: pytest.CaptureFixture
) -> None:
    (run / "config/merged.yaml").unlink()
    assert all(torch.equal(value, unchanged[name]) for name, value in weights_after_a_step(run).items())
    weights_after_a_step(run, "trainer.max_steps=40")
    assert "no merged.yaml beside it" in capsys.readouterr().err
    assert (parsed(run)["trainer"]["max_steps"], parsed(run)["model"]["cos_anneal_end"]) == (40, 4)


@pytest.mark.parametrize("mode", ["test", "validate", "predict"])
def test_what_a_pass_is_told_is_recorded_and_reaches_no_training(run: Path, unchanged: dict, mode: str) -> None:
    before = {path.name: path.read_bytes() for path in (run / "config").iterdir()}
    overrides = ["model.geometry.isosurface.resolution=24", "model.randomized=false", "trainer.limit_val_batches=1"]
    assert resume(run, *overrides, "dataset.n_test_traj_steps=2", mode=f"--{mode}") == 0
    used = parsed(run, "save/config.yaml" if mode == "test" else f"save/config-{mode}.yaml")
    assert used["model"]["geometry"]["isosurface"]["resolution"] == 24
    assert used["trainer"]["limit_val_batches"] == 1
    assert {path.name: path.read_bytes() for path in (run / "config").iterdir()} == before
    assert all(torch.equal(value, unchanged[name]) for name, value in weights_after_a_step(run).items())


def test_weights_of_a_run_begin_a_new_one_in_a_folder_of_its_own(run: Path) -> None:
    before = parsed(run)
    out = ["--exp_dir", str(run.parents[1]), "--resume_weights_only", "tag=again"]
    assert resume(run, *out) == 0
    (new,) = run.parent.glob("again@*")
    assert parsed(run) == before
    assert (new / f"ckpt/epoch=0-step={STEPS}.ckpt").is_file()
    assert "${" in (new / "config/merged.yaml").read_text(encoding="utf-8")


def test_an_error_map_begins_anew_and_may_be_left(run: Path) -> None:
    weights_after_a_step(run, "system.error_guided=0.5", "trainer.save_every_minutes=0.0001")
    (run / "ckpt/epoch=0-step=16.ckpt").unlink()
    state = torch.load(run / "ckpt/epoch=0-step=17.ckpt", weights_only=True)["state_dict"]
    assert state["error_map.met"].sum() > 0
    assert resume(run, "system.error_guided=0", "trainer.max_steps=18") == 0
    state = torch.load(run / "ckpt/epoch=0-step=18.ckpt", weights_only=True)["state_dict"]
    assert not any(name.startswith("error_map") for name in state)
