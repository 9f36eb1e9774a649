"""Whatever somebody writes behind a key, the program does it or refuses it in one line that names the key."""

import random
from pathlib import Path

import pytest
from overrides import draw
from scenes_on_disk import write_blender
from schema_keys import leaves

import launch
from systems.configs import read_experiment

GIVEN = {
    "configs/neus-demo.yaml": [],
    "configs/nerf-blender.yaml": ["dataset.scene=x"],
    "configs/neus-dtu.yaml": ["dataset.root_dir=x"],
    "configs/neuralangelo-dtu-wmask.yaml": ["dataset.root_dir=x"],
    "configs/nerf-colmap.yaml": ["dataset.root_dir=x"],
}
SMALL = [  # two steps, and a test pass of one small view
    *("trainer.max_steps=2", "system.warmup_steps=1", "trainer.enable_progress_bar=false", "model.train_num_rays=16"),
    *("model.num_samples_per_ray=32", "model.max_train_num_rays=32", "model.grid_resolution=8", "export.report=false"),
    *("model.geometry.xyz_encoding_config.n_levels=4", "model.geometry.xyz_encoding_config.log2_hashmap_size=8"),
    *(
        "model.geometry.isosurface.resolution=16",
        "system.optimizer.args.lr=1e-6",
        "dataset.gt_mesh=null",
        "dataset.n_test_traj_steps=1",
    ),
]
KEPT = ("dataset.root_dir", "dataset.name", "dataset.scene", "trainer.max_steps", "model.backend")  # of a training


def check(argv: list[str], overrides: list[str], valid: bool, capsys: pytest.CaptureFixture) -> int:
    """Runs a command with overrides; its exit code, after a look at what it says."""
    code = launch.main([*argv, *overrides])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert code == (2 if lines else 0), (overrides, lines)
    assert len(lines) == (code == 2), (overrides, lines)
    keys = [override.split("=")[0] for override in overrides]
    # A choice may be refused for a key that it needs beside it: the line names its block then.
    names = [name for key in keys for name in (key.rpartition(".")[2], key.rpartition(".")[0]) if name]
    assert not lines or any(name in lines[0] for name in names), (overrides, lines)
    assert valid or code == 2, f"{overrides} was accepted"
    return code


def dump_with_overrides(num: int, seed: int, capsys: pytest.CaptureFixture) -> None:
    rng = random.Random(seed)
    keys = {config: list(leaves(read_experiment([config], given))) for config, given in GIVEN.items()}
    codes = []
    for index in range(num):
        config = list(GIVEN)[index % len(GIVEN)]
        overrides, valid = draw(rng, keys[config])
        codes.append(check(["--config", config, "--dump", *GIVEN[config]], overrides, valid, capsys))
    assert {0, 2} == set(codes)


def test_overrides_are_taken_or_refused(capsys: pytest.CaptureFixture) -> None:
    dump_with_overrides(40, 3, capsys)


@pytest.mark.soak
def test_many_overrides_are_taken_or_refused(capsys: pytest.CaptureFixture) -> None:
    dump_with_overrides(300, 7, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (0, 2, 3, 4, 5))])
def test_trainings_with_overrides_end_well_or_are_refused(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Ten trainings of two steps each."""
    write_blender(tmp_path / "scene", train=4, val=1, test=1)
    given = [f"dataset.root_dir={tmp_path / 'scene'}", *SMALL]
    keys = [key for key in leaves(read_experiment(["configs/neus-demo.yaml"], given)) if key[0] not in KEPT]
    rng, codes = random.Random(seed), []
    for index in range(10):
        folders = ["--exp_dir", str(tmp_path / f"exp{index}"), "--runs_dir", str(tmp_path / f"runs{index}")]
        argv = ["--config", "configs/neus-demo.yaml", "--train", "--gpu", "cpu", *folders, *given]
        overrides, valid = draw(rng, keys, small=True)
        codes.append(check(argv, overrides, valid, capsys))
    assert {0, 2} == set(codes)
