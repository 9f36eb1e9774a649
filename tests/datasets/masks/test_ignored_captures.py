"""neus-capture with masks that say where not to look: the whole scene is trained, and these pixels are not; from the
command line to the rays."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scenes_on_disk import HEIGHT, WIDTH, disc, random_image, ring_of_cameras, write_colmap, write_transforms
from variants import SMALL

import launch
from datasets.datamodule import SceneData
from datasets.sampler import RaySampler
from datasets.transforms import TransformsConfig, TransformsLoader
from models.background_configs import LearnedBackgroundConfig, NoBackgroundConfig
from systems.configs import Experiment, read_experiment
from utils.errors import DataError
from utils.images import write_png
from utils.rays import RayBatch

CAMERAS = ring_of_cameras(6)
IMAGES = [random_image(i, 3) for i in range(6)]
LEFT_OUT = np.zeros((HEIGHT, WIDTH), bool)
LEFT_OUT[10:14, 22:30] = True
CONFIGS = ["neus-capture", "neus-capture-cpu"]
WHOLE, ALONE = "taking the settings for the whole scene", "taking the settings for the object alone"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A COLMAP capture with masks/."""
    write_colmap(tmp_path, CAMERAS, IMAGES, points=np.random.default_rng(0).uniform(-0.3, 0.3, (20, 3)))
    return with_masks(tmp_path, "masks")


def with_masks(root: Path, folder: str, in_file: bool = False) -> Path:
    for i in range(6):
        write_png(root / f"{folder}/{i:03d}.png", np.where(LEFT_OUT, 0, 255).astype(np.uint8))
    if in_file:
        edit(root, lambda meta: [one.update(mask_path=f"{folder}/{i:03d}.png") for i, one in enumerate(meta["frames"])])
    return root


def edit(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    meta = json.loads((root / "transforms.json").read_text())
    change(meta)
    (root / "transforms.json").write_text(json.dumps(meta))


def read(name: str, root: Path, *typed: str, also: Path | None = None) -> Experiment:
    own = ["dataset.holdout=0", "dataset.img_downscale=1"]
    files = [f"configs/{name}.yaml", *([] if also is None else [also])]
    return read_experiment(files, [f"dataset.root_dir={root}", *own, *typed])


def drawn(experiment: Experiment) -> tuple[np.ndarray, np.ndarray]:
    """How often each pixel of the training photographs is drawn, and which are to be looked at."""
    data = SceneData(experiment.dataset, False, 1, "auto")
    sampler, generator = data.views("train", torch.device("cpu")), torch.Generator().manual_seed(0)
    pixels = torch.cat([sampler.draw(20_000, torch.zeros(3), generator).pixel for _ in range(2)])
    assert not sampler.scene.has_alpha
    return torch.bincount(pixels, minlength=len(sampler.scene.pixels)).numpy(), sampler.scene.kept


def assert_whole_but_for_what_is_ignored(experiment: Experiment) -> None:
    assert isinstance(experiment.model.background, LearnedBackgroundConfig)
    assert not experiment.dataset.apply_mask
    counts, kept = drawn(experiment)
    np.testing.assert_array_equal(kept, np.tile(~LEFT_OUT.ravel(), 6))
    assert (counts[~kept] == 0).all()
    assert (counts[kept] > 0).mean() > 0.99


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("told", ["typed", "in a file"])
def test_ignored_pixels_of_a_capture_are_not_trained_on(
    name: str, told: str, root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "own.yaml").write_text("dataset: {masks: ignore}\n")
    with caplog.at_level(logging.INFO):
        experiment = (
            read(name, root, "dataset.masks=ignore")
            if told == "typed"
            else read(name, root, also=tmp_path / "own.yaml")
        )
    assert caplog.text.count("taking the settings for") == 1
    assert f"{root}: {WHOLE}, since masks/ tells where not to look (dataset.masks=ignore)" in caplog.text
    assert_whole_but_for_what_is_ignored(experiment)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(
    ("typed", "said", "alone"),
    [
        ([], "masks/ shows it", True),
        (["dataset.masks=object"], "masks/ shows it", True),
        (["dataset.apply_mask=false"], "masks/ is not used (dataset.apply_mask=false)", False),
        (["dataset.masks=object", "dataset.apply_mask=false"], "masks/ is not used (dataset.apply_mask=false)", False),
    ],
)
def test_other_choices_are_told_too(
    name: str, typed: list[str], said: str, alone: bool, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        experiment = read(name, root, *typed)
    assert caplog.text.count(f"{root}: {ALONE if alone else WHOLE}, since {said}") == 1
    assert isinstance(experiment.model.background, NoBackgroundConfig if alone else LearnedBackgroundConfig)
    scene = SceneData(experiment.dataset, False, 1, "auto").scene("train")
    assert (scene.has_alpha, scene.kept) == (alone, None)


def test_a_capture_without_masks_says_so_and_ignoring_nothing_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_colmap(tmp_path, CAMERAS, IMAGES, points=np.random.default_rng(0).uniform(-0.3, 0.3, (20, 3)))
    with caplog.at_level(logging.INFO):
        experiment = read("neus-capture", tmp_path, "dataset.masks=ignore")
        data = SceneData(experiment.dataset, False, 1, "auto")
        scenes = [data.scene(split) for split in ("train", "test")]
    assert f"{WHOLE}, since there are no masks" in caplog.text
    assert [scene.kept for scene in scenes] == [None, None]
    assert caplog.text.count("dataset.masks=ignore has no effect") == 1


@pytest.mark.parametrize("folder", ["masks", "segments"])
def test_mask_path_of_other_programs_is_ignored_and_that_of_prepare_shows_the_object(
    folder: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_transforms(tmp_path, CAMERAS, IMAGES)
    root, name = with_masks(tmp_path, folder, in_file=True), "dataset.name=transforms"
    with caplog.at_level(logging.INFO):
        assert_whole_but_for_what_is_ignored(read("neus-capture", root, name))
        assert "mask_path of transforms.json tells where not to look" in caplog.text
        (root / "transforms.json").rename(root / "mine.json")
        assert_whole_but_for_what_is_ignored(read("neus-capture", root, name, "dataset.file=mine.json"))
    (root / "mine.json").rename(root / "transforms.json")
    assert isinstance(read("neus-capture", root, name, "dataset.masks=object").model.background, NoBackgroundConfig)
    edit(root, lambda meta: meta.update(masks="object"))
    assert isinstance(read("neus-capture", root, name).model.background, NoBackgroundConfig)
    off = read("neus-capture", root, name, "dataset.apply_mask=false")
    assert SceneData(off.dataset, False, 1, "auto").scene("train").kept is None


@pytest.mark.parametrize("broken", ["", "[1]", '{"frames": 3}', '{"frames": [1]}', "{" * 3000])
def test_a_broken_file_of_cameras_is_left_to_the_dataset(broken: str, tmp_path: Path) -> None:
    (tmp_path / "transforms.json").write_text(broken)
    experiment = read("neus-capture", tmp_path, "dataset.name=transforms")
    with pytest.raises(DataError, match=r"transforms\.json"):
        SceneData(experiment.dataset, False, 1, "auto").scene("train")


def test_what_a_broken_mask_says_takes_it_out(root: Path) -> None:
    write_png(root / "masks/001.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    load = lambda *typed: SceneData(read("neus-capture", root, *typed).dataset, False, 1, "auto").scene("train")  # noqa: E731
    remedy = "dataset.masks=object and dataset.apply_mask=false"
    with pytest.raises(DataError, match=f"black everywhere.*or set {remedy}"):
        load("dataset.masks=ignore", "dataset.apply_mask=false")
    assert load(*remedy.split(" and ")).kept is None
    write_png(root / "masks/001.png", disc()[1:])
    with pytest.raises(DataError, match=f"Resize the mask, or set {remedy}"):
        load("dataset.masks=ignore")


def test_cameras_are_compared_without_reading_masks(root: Path) -> None:
    write_transforms(root, CAMERAS, IMAGES)
    edit(root, lambda meta: [frame.update(mask_path="gone/0.png") for frame in meta["frames"]])
    found = TransformsLoader(TransformsConfig(str(root), holdout=0, apply_mask=False, masks="object")).load("train")
    assert len(found) == 6


def test_a_training_honours_them(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    small = [*SMALL, "model.background.train_num_rays=64", "model.background.num_samples_per_ray=16"]
    small += ["model.background.grid_resolution=16", "model.geometry.isosurface.resolution=24"]
    small += ["trainer.max_steps=2", "system.warmup_steps=1", "trainer.val_check_interval=9"]
    small += ["export.report=false", "dataset.n_test_traj_steps=1", "dataset.img_downscale=1", "dataset.holdout=3"]
    folders = ["--exp_dir", str(tmp_path / "exp"), "--runs_dir", str(tmp_path / "runs"), "--gpu", "cpu"]
    looked, draw = [], RaySampler.draw

    def noted(sampler: RaySampler, *args: object) -> RayBatch:
        looked.append((sampler.scene, draw(sampler, *args)))
        return looked[-1][1]

    monkeypatch.setattr(RaySampler, "draw", noted)
    config = ["--config", "configs/neus-capture-cpu.yaml", "--train", *folders, f"dataset.root_dir={root}"]
    launch.main([*config, *small, "dataset.masks=ignore"])
    assert len(looked) >= 2
    assert all(scene.kept[batch.pixel.numpy()].all() for scene, batch in looked)
    said = capsys.readouterr().err
    assert said.count("taking the settings for") == 1
    assert "masks: the whole scene is trained, but for 4.2% of the pixels, where they say not to look" in said
