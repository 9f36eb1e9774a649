"""Someone who used instant-nsr-pl brings YAML files, data and commands: they load, train and test here as they are."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from predecessor_configs import configs, text
from scenes_on_disk import disc, random_image, ring_of_cameras, write_blender, write_colmap, write_dtu

import launch
from utils.config import schema
from utils.images import write_png

# The commands of its README, as a reader would adapt them: only the paths are others.
LEGO = "--gpu 0 --train dataset.scene=lego"
COMMANDS = (
    f"python launch.py --config configs/nerf-blender.yaml {LEGO} tag=example",
    f"python launch.py --config configs/neus-blender.yaml {LEGO} tag=example",
    f"python launch.py --config configs/neus-blender.yaml {LEGO} tag=example system.loss.lambda_mask=0.0",
    f"python launch.py --config configs/nerf-blender.yaml {LEGO} tag=iter50k seed=0 trainer.max_steps=50000",
    "python launch.py --config configs/nerf-colmap.yaml --gpu 0 --train dataset.root_dir=load/garden",
    "python launch.py --config configs/neus-colmap.yaml --gpu 0 --train dataset.root_dir=load/garden",
    "python launch.py --config configs/neus-dtu.yaml --gpu 0 --train dataset.root_dir=load/dtu_scan63",
    "python launch.py --config configs/neus-dtu-wmask.yaml --gpu 0 --train dataset.root_dir=load/dtu_scan63",
    "python launch.py --config configs/neus-bmvs.yaml --gpu 0 --train dataset.root_dir=load/bmvs_dog",
    "python launch.py --config configs/neuralangelo-dtu-wmask.yaml --gpu 0 --train dataset.root_dir=load/dtu_scan63",
)
PARSED, CHECKPOINT = "path/to/your/exp/config/parsed.yaml", "path/to/your/exp/ckpt/epoch=0-step=20000.ckpt"
TEST_COMMAND = f"python launch.py --config {PARSED} --resume {CHECKPOINT} --gpu 0 --test"
# What makes a run small; everything else is the file's own.
TINY = [
    "trainer.max_steps=4",
    "trainer.enable_progress_bar=false",
    "trainer.val_check_interval=4",
    "trainer.precision=32",
    "model.num_samples_per_ray=64",
    "model.train_num_rays=16",
    "model.max_train_num_rays=64",
    "model.grid_resolution=16",
    "model.geometry.isosurface.resolution=24",
    "model.geometry.xyz_encoding_config.n_levels=6",
    "model.geometry.xyz_encoding_config.log2_hashmap_size=10",
    "export.min_component=0.0",
]
BEHIND = [  # likewise, of a learned background
    "model.background.num_samples_per_ray=8",
    "model.background.train_num_rays=32",
    "model.background.grid_resolution=16",
    "model.background.geometry.xyz_encoding_config.n_levels=4",
    "model.background.geometry.xyz_encoding_config.log2_hashmap_size=10",
]
RATE = 1e-6  # an untrained field has a surface, one trained for four steps may not


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `load` with a small scene in every layout."""
    root = tmp_path_factory.mktemp("load")
    write_blender(root / "nerf_synthetic/lego", train=6, val=2, test=2)
    write_dtu(root / "dtu_scan63")
    (root / "bmvs_dog").mkdir()
    write_dtu(root / "bmvs_dog")
    points = 0.2 * np.random.default_rng(0).normal(size=(40, 3)) * [1.0, 1.0, 0.1]
    write_colmap(root / "garden", ring_of_cameras(9), [random_image(i, 3) for i in range(9)], points=points)
    for i in range(9):
        write_png(root / f"garden/masks/{i:03d}.png", disc())
    return root


def parts_of(config: dict) -> list[str]:
    """Overrides that make the parts of a config small that only some have."""
    # an untrained density is about exp(density_bias) everywhere, and crosses that somewhere
    level = 0.36788 if config["model"]["name"] == "nerf" else 0.0
    found = [f"model.geometry.isosurface.threshold={level}"]
    found += [f"system.optimizer.args.lr={RATE}"]
    found += [f"system.optimizer.params.{part}.lr={RATE}" for part in config["system"]["optimizer"].get("params", {})]
    found += ["system.warmup_steps=2"] if "warmup_steps" in config["system"] else []
    found += ["system.constant_steps=2"] if "constant_steps" in config["system"] else []
    found += ["dataset.img_downscale=2"] if config["dataset"].get("img_downscale") else []
    found += ["dataset.img_wh=[16,12]"] if config["dataset"].get("img_wh") else []
    found += ["dataset.n_test_traj_steps=2"] if config["dataset"].get("n_test_traj_steps") else []
    return found


def at(load: Path, words: list[str]) -> list[str]:
    """A command's arguments with the paths of the data replaced."""
    words = [re.sub(r"=load/", f"={load}/", word) for word in words]
    scene = next((word for word in words if word.startswith("dataset.scene=")), None)
    return words + ([f"dataset.root_dir={load}/nerf_synthetic/lego"] if scene else [])


def run(words: list[str], out: Path) -> None:
    """The command with its --gpu 0, which without a GPU is refused, as --gpu auto."""
    words = ["auto" if before == "--gpu" else word for before, word in zip(["", *words], words, strict=False)]
    assert launch.main([*words, "--exp_dir", str(out / "exp"), "--runs_dir", str(out / "runs")]) == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_readme_train(load: Path, tmp_path: Path, command: str) -> None:
    words = at(load, shlex.split(command)[2:])
    experiment = launch.load_experiment(launch.parse_args(words))
    config = schema.to_dict(experiment)
    behind = BEHIND if config["model"]["background"]["name"] == "learned" else []
    run([*words, *TINY, *parts_of(config), *behind], tmp_path)
    (found,) = tmp_path.glob("exp/*/*@*")
    assert (found / "save/it4-test.mp4").is_file()
    assert list(found.glob("ckpt/*-step=4.ckpt"))
    tag = next((word[4:] for word in words if word.startswith("tag=")), "")
    assert found.name.startswith(f"{tag}@")


DATA = {"blender": "nerf_synthetic/lego", "dtu": "dtu_scan63", "colmap": "garden"}


@pytest.mark.parametrize("name", configs())
def test_its_files_train_and_test_unchanged(load: Path, tmp_path: Path, name: str) -> None:
    """The file as it is, with --config; what makes the run small comes as overrides behind it."""
    path = tmp_path / f"{name}.yaml"
    path.write_text(text(name))
    config = configs()[name]
    scene = ["dataset.scene=lego"] if config["dataset"]["name"] == "blender" else []
    source = [*scene, f"dataset.root_dir={load}/{DATA[config['dataset']['name']]}"]
    small = [*TINY, *parts_of(config)]
    if "geometry_bg" in config["model"]:
        small += ["model.geometry_bg.xyz_encoding_config.n_levels=4", "model.num_samples_per_ray_bg=8"]
        small += ["model.geometry_bg.xyz_encoding_config.log2_hashmap_size=10"]
    run(["--config", str(path), "--gpu", "0", "--train", *source, *small], tmp_path)
    (found,) = tmp_path.glob("exp/*/*@*")
    words = shlex.split(TEST_COMMAND.replace("20000", "4").replace("path/to/your/exp", str(found)))[2:]
    (found / "save/it4-test.mp4").unlink()
    run(words, tmp_path)
    assert (found / "save/it4-test.mp4").is_file()
    weights = torch.load(found / "ckpt/epoch=0-step=4.ckpt", weights_only=True)["state_dict"]
    assert any(key.startswith("model.background.") for key in weights) == config["model"]["learned_background"]


@pytest.mark.parametrize("name", configs())
def test_its_files_mean_what_they_say(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_text(text(name))
    words = ["--config", str(path), "--train", "dataset.scene=lego" if "blender" in name else "tag=x"]
    experiment = launch.load_experiment(launch.parse_args([*words, "dataset.root_dir=load/scan"]))
    theirs = configs()[name]
    assert experiment.trainer.max_steps == theirs["trainer"]["max_steps"]
    assert experiment.model.num_samples_per_ray == 1024
    assert experiment.model.background_color == theirs["model"]["background_color"]
    assert experiment.system.loss.weights.keys() == {
        key.removeprefix("lambda_") for key in theirs["system"]["loss"] if key.startswith("lambda_")
    }
