"""The command line: what is wrong with the input is said in one line, with exit code 2, and nothing is left behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from sphere_scene import write_sphere_scene
from variants import DIFFERENCES, GRID, PROGRESSIVE

import launch
from benchmarks.clock.runs import LATER, START
from systems.configs import Experiment
from utils import registry
from utils.config import schema
from utils.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
DEMO = ["--config", "configs/neus-demo.yaml"]
NERF = ["--config", "configs/nerf-blender.yaml", "--train", "dataset.scene=x"]
TINY = [
    "trainer.max_steps=2",
    "system.warmup_steps=1",
    "trainer.enable_progress_bar=false",
    "model.train_num_rays=8",
    "model.grid_resolution=16",
]


def refused(capsys: pytest.CaptureFixture, tmp_path: Path, *argv: str) -> str:
    """The one line that launch prints about bad input."""
    code = launch.main(
        [*argv, "--exp_dir", str(tmp_path / "exp"), "--runs_dir", str(tmp_path / "runs"), "--gpu", "cpu"]
    )
    text = capsys.readouterr().err
    lines = text.splitlines()
    assert code == 2
    assert [index for index, line in enumerate(lines) if line.startswith("error: ")] == [len(lines) - 1], text
    assert "Traceback" not in text
    assert not (tmp_path / "exp").exists()
    return lines[-1]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([*DEMO, "--trian"], ["--trian", "--train"]),
        ([*DEMO, "--train", "model.geometri.radius=2"], ["command line", "model.geometri", "'geometry'"]),
        ([*DEMO, "--train", "trainer.max_step=2"], ["trainer.max_step", "'max_steps'"]),
        ([*DEMO, "--train", "trainer.log_every_n_steps=many"], ["trainer.log_every_n_steps", "whole number", "'many'"]),
        ([*DEMO, "--train", "model.name=neuss"], ["model.name", "'neus'"]),
        ([*DEMO, "--train", "system.loss.lambda_eikonl=1"], ["lambda_eikonl", "lambda_eikonal"]),
        ([*DEMO, "--train", "system.loss.lambda_mask=[1,2]"], ["system.loss.lambda_mask", "schedule"]),
        (["--config", "configs/neus-blender.yaml", "--train"], ["dataset.scene", "???"]),
        (["--config", "configs/neus-blendr.yaml", "--train"], ["neus-blendr.yaml", "neus-blender.yaml"]),
        ([*DEMO, "--train", "system.loss.sparsity_scale=abc"], ["sparsity_scale", "a number", "'abc'"]),
        ([*DEMO, "--train", "system.loss.ncc_patch=4"], ["system.loss.ncc_patch", "odd"]),
        ([*DEMO, "--train", "model.grid_reseed=true"], ["line: model.grid_reseed: removed: ", "Leave the key out"]),
        ([*DEMO, "--train", "system.error_guided=1.5"], ["system.error_guided", "0 to 1"]),
        (
            [*DEMO, "--train", "system.error_guided=0.5", "model.batch_image_sampling=false"],
            ["system.error_guided", "batch_image_sampling=false"],
        ),
        (
            [*DEMO, "--train", "system.refine_poses=1e-4", "system.optimizer.params.poses.lr=1e-3"],
            ["system.optimizer.params.poses.lr", "system.refine_poses"],
        ),
        ([*DEMO, "--train", "system.optimizer.params.poses.lr=1e-3"], ["poses", "no effect"]),
        ([*DEMO, "--train", "trainer.val_check_interval=.inf"], ["val_check_interval", "whole number"]),
        ([*DEMO, "--train", "system.loss.lambda_mask=.nan"], ["lambda_mask", "schedule"]),
        ([*DEMO, "--train", "model.backend=tinycudann"], ["model.backend=tinycudann", "GPU", "--gpu"]),
        ([*DEMO, "--train", "system.scheduler.name=[1]"], ["system.scheduler.name", "[1]"]),
        ([*DEMO, "--train", "gpu=0"], ["'gpu=0'", "Write --gpu 0."]),
        ([*DEMO, "--train", "verbose=true"], ["'verbose=true'", "Write --verbose."]),
        ([*DEMO, "--train", "exp_dir=/tmp/a"], ["is a flag", "Write --exp_dir /tmp/a."]),
        ([*DEMO], ["--train"]),
        ([*DEMO, "--test"], ["--resume"]),
        ([*DEMO, "--train", "dataset.root_dir=nowhere"], ["nowhere"]),
        ([*DEMO, "--train", "--resume", "nowhere.ckpt"], ["nowhere.ckpt", "no such file"]),
        ([*DEMO, "--train", "model.texture.input_feature_dim=7"], ["input_feature_dim", "16", "7"]),
        ([*DEMO, "--train", "system.optimizer.params.geometri.lr=1"], ["geometri", "geometry"]),
        (
            [*DEMO, "--train", "trainer.max_steps=100"],
            ["line: trainer.max_steps: must exceed system.warmup_steps (100), got 100"],
        ),
        ([*DEMO, "--train", "trainer.max_steps=50"], ["must exceed system.warmup_steps (100), got 50"]),
        ([*DEMO, "--train", "system.constant_steps=1400"], ["must exceed system.constant_steps (1400), got 1400"]),
        ([*DEMO, "--train", "trainer.max_steps=many"], ["line: trainer.max_steps: expected a number, got 'many'"]),
        ([*NERF, "trainer.max_steps=[1]"], ["line: trainer.max_steps: expected a number, got [1]"]),
        (
            [*DEMO, "--train", "model.geometry.mlp_network_config.output_activation=Sigmoid"],
            ["line: model.geometry.mlp_network_config.output_activation: expected none", "Sigmoid"],
        ),
        ([*NERF, "system.loss.lambda_eikonal=0.1"], ["line: system.loss.lambda_eikonal: needs", "model.name=nerf"]),
        ([*NERF, "system.loss.lambda_sparsity=[0,0,1,9]"], ["line: system.loss.lambda_sparsity: needs"]),
        ([*NERF, "system.loss.lambda_curvature=1"], ["line: system.loss.lambda_curvature: needs"]),
        (
            [*NERF, "system.loss.lambda_distortion_bg=1"],
            ["line: system.loss.lambda_distortion_bg: needs", "name=color"],
        ),
        ([*NERF, "model.background=lerned"], ["command line: model.background", "'learned'"]),
        (
            [*DEMO, "--train", *DIFFERENCES, "model.geometry.finite_difference_eps=progresive"],
            ["finite_difference_eps", "a number", "'p"],
        ),
        (
            [*DEMO, "--train", *DIFFERENCES, "model.geometry.finite_difference_eps=0"],
            ["line: model.geometry.finite_difference_eps", "0"],
        ),
        (
            [*DEMO, "--train", *DIFFERENCES, "model.geometry.finite_difference_eps=2"],
            ["finite_difference_eps", "(1.1)", "got 2"],
        ),
        (
            [*DEMO, "--train", *DIFFERENCES, "model.geometry.finite_difference_eps=progressive"],
            [
                "line: model.geometry.finite_difference_eps: progressive needs",
                "ProgressiveBandHashGrid",
                "got HashGrid",
            ],
        ),
        (
            [*DEMO, "--train", *PROGRESSIVE, f"{GRID}.update_steps=0"],
            ["update_steps: expected a whole number from 1 to 1e9, got 0"],
        ),
        (
            [*DEMO, "--train", *PROGRESSIVE, f"{GRID}.start_level=0"],
            ["start_level: expected a whole number from 1 to 32, got 0"],
        ),
        ([*DEMO, "--train", "export.formats=[objj]"], ["export.formats[0]", "glb, obj, ply", "'obj'"]),
        ([*DEMO, "--train", "name=../x"], ["name", "letters", "'../x'"]),
        ([*DEMO, "--train", "tag=a/b"], ["tag", "letters", "'a/b'"]),
        ([*DEMO, "--train", f"tag={'a' * 300}"], ["tag", "at most 100 bytes", "aaa...."]),
        ([*DEMO, "--train", f"tag={'a' * 101}"], ["tag", "at most 100 bytes"]),
        ([*NERF, "model.name=neus"], ["model.geometry.name", "model.name=neus", "volume-sdf", "got volume-density"]),
        (
            [*DEMO, "--train", "model.name=nerf"],
            ["model.geometry.name", "model.name=nerf", "volume-density", "got volume-sdf"],
        ),
        ([*NERF, "model.texture.name=volume-reflected-radiance"], ["model.texture.name", "Use volume-radiance"]),
        (
            [*DEMO, "--train", "model.geometry.radius=2"],
            ["model.geometry.radius: expected 1.1 (model.radius)", "got 2"],
        ),
        (
            [*DEMO, "--train", "trainer.max_steps=-5"],
            ["line: trainer.max_steps: expected a whole number from 1 to 1e9, got -5."],  # not what repeats it
        ),
        (
            [*NERF, "system.scheduler.args.milestones=['${sub:${trainer.max_steps},30000}']"],
            ["milestones[0]", "got -10000; it is computed from trainer.max_steps=20000."],
        ),
        (
            [*DEMO, "--train", f"{GRID}.per_level_scale=5"],
            [f"line: {GRID}.per_level_scale", "n_levels=10", "finest level"],
        ),
        ([*DEMO, "--train", "model.train_num_rays=1000000", "model.num_samples_per_ray=1000"], ["train_num_rays"]),
    ],
)
def test_bad_input_is_one_line(argv: list[str], said: list[str], capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    line = refused(capsys, tmp_path, *argv)
    assert all(word in line for word in said), line


def test_a_loss_that_is_off_asks_nothing_of_the_model() -> None:
    argv = [*NERF, "system.loss.lambda_eikonal=0", "system.loss.lambda_curvature=[0,0,0,9]"]
    assert launch.load_experiment(launch.parse_args(argv)).system.loss.is_off("eikonal")


def test_the_networks_of_a_density_and_a_texture_may_end_in_a_sigmoid() -> None:
    key = "mlp_network_config.output_activation"
    argv = [*NERF, f"model.geometry.{key}=sigmoid", f"model.texture.{key}=sigmoid"]
    assert launch.load_experiment(launch.parse_args(argv)).model.geometry.mlp_network_config.output_activation == (
        "sigmoid"
    )


def test_a_tab_in_yaml_is_named_with_its_line(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    path = tmp_path / "tab.yaml"
    path.write_text("name: x\nmodel:\n\tname: neus\n")
    line = refused(capsys, tmp_path, "--config", str(path), "--train")
    assert "line 3" in line
    assert "tab" in line


def test_json_without_frames(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    root = write_sphere_scene(tmp_path / "scene")
    (root / "transforms_train.json").write_text(json.dumps({"camera_angle_x": 0.5}))
    assert "frames" in refused(capsys, tmp_path, *DEMO, "--train", f"dataset.root_dir={root}")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint of two steps, and its scene; the surface of such a model may be missing, the checkpoint is not."""
    out = tmp_path_factory.mktemp("two-steps")
    root = write_sphere_scene(out / "scene")
    folders = ["--exp_dir", str(out / "exp"), "--runs_dir", str(out / "runs"), "--gpu", "cpu"]
    launch.main(
        [*DEMO, "--train", *folders, f"dataset.root_dir={root}", *TINY, "model.geometry.isosurface.resolution=32"]
    )
    return next(out.glob("exp/*/*/ckpt/*.ckpt")), root


def test_metrics_tell_where_the_time_before_the_first_step_went(checkpoint: tuple[Path, Path]) -> None:
    metrics = json.loads((checkpoint[0].parents[1] / "save/metrics.json").read_text())
    *stages, total = metrics["start_seconds"].items()
    assert [name for name, _ in stages] == list(START)
    assert min(seconds for _, seconds in stages) >= 0.0
    assert total == ("total", pytest.approx(sum(seconds for _, seconds in stages), abs=0.01))
    *later, (_, whole) = metrics["stage_seconds"].items()
    assert [name for name, _ in later] == list(LATER)
    assert whole == pytest.approx(total[1] + sum(seconds for _, seconds in later), abs=0.01)
    assert "warnings" in metrics  # what was there before stays


def test_a_checkpoint_of_another_model(checkpoint: tuple, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    argv = [*DEMO, "--test", "--resume", str(checkpoint[0]), f"dataset.root_dir={checkpoint[1]}", *TINY]
    line = refused(capsys, tmp_path, *argv, "model.geometry.xyz_encoding_config.log2_hashmap_size=12")
    assert "another model" in line
    assert "table" in line


def test_an_interrupted_checkpoint(checkpoint: tuple, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    torn = tmp_path / "epoch=0-step=2.ckpt"
    torn.write_bytes(checkpoint[0].read_bytes()[:5000])
    argv = [*DEMO, "--test", "--resume", str(torn), f"dataset.root_dir={checkpoint[1]}", *TINY]
    assert "not a readable checkpoint" in refused(capsys, tmp_path, *argv)


def test_a_run_that_is_done_says_so(checkpoint: tuple, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    argv = [*DEMO, "--train", "--resume", str(checkpoint[0]), f"dataset.root_dir={checkpoint[1]}", *TINY]
    assert "nothing is left to train" in refused(capsys, tmp_path, *argv)


def test_the_last_lines_name_a_training_only_where_there_was_one() -> None:
    report = {"file": "exp/a/save/metrics.json", "train_seconds": 76.0}
    assert launch.summarise(report, 90.0, True).startswith("done in 1 min 30 s, training 1 min 16 s\n")
    assert launch.summarise(report, 20.0, False).startswith("done in 20 s\n")


def test_checkpoints_hold_no_code(checkpoint: tuple) -> None:
    assert torch.load(checkpoint[0], weights_only=True)["global_step"] == 2


def test_configs_are_checked_before_torch_is_loaded() -> None:
    code = "import sys, launch; c = launch.main(sys.argv[1:]); assert 'torch' not in sys.modules; sys.exit(c)"
    command = [sys.executable, "-c", code, *DEMO, "--train", "model.nme=x"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: command line: model.nme")


def test_list_names_every_component(capsys: pytest.CaptureFixture) -> None:
    assert launch.main(["--list"]) == 0
    text = capsys.readouterr().out
    for kind in registry.kinds():
        for name in registry.names(kind):
            assert f"  {name}  ({registry.find(kind, name).file})" in text


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_parses_and_survives_a_dump(path: Path, capsys: pytest.CaptureFixture) -> None:
    argv = ["--config", str(path), "--dump", "dataset.scene=x", "dataset.root_dir=x"]
    assert launch.main(argv) == 0
    node = OmegaConf.to_container(OmegaConf.create(capsys.readouterr().out))
    assert schema.parse(Experiment, node) == launch.load_experiment(launch.parse_args(argv))


def test_defaults_that_lead_back_to_themselves(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("defaults: [b]\n")
    (tmp_path / "b.yaml").write_text("defaults: [a]\n")
    with pytest.raises(ConfigError, match="back to itself"):
        launch.load_experiment(launch.parse_args(["--config", str(tmp_path / "a.yaml"), "--train"]))
