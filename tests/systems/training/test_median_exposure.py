"""Colours that leave the program without a photograph are those of the median exposure, wherever they are read out, and
comparisons with photographs stay as they are; through launch.py's own entry point and from its checkpoint."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from sphere_scene import write_sphere_scene
from torch import Tensor
from variants import QUICK, SMALL
from viewed_scene import FRONT, NotedPage

import launch
from datasets.datamodule import SceneData
from systems.configs import read_experiment
from systems.runs import RunFolder, checkpoints_in
from systems.runs.board import Board
from systems.training import reconstruction
from systems.viewer import live
from systems.viewer.finished import FinishedRun
from systems.viewer.requests import Mailbox
from systems.viewer.session import Session
from systems.viewer.writing import export
from utils.images import read_image
from utils.visualise import taken_apart

STEPS = 6
AFFINE = torch.zeros(20, 2, 3)  # log gains and offsets of photographs, of which a few are bright
AFFINE[:, 0] = torch.linspace(-0.32, -0.28, 20)[:, None] * torch.tensor([1.0, 0.5, 1.5])
AFFINE[:, 1] = torch.tensor([-0.02, -0.04, 0.0])
AFFINE[3:9, 0] = torch.tensor([0.5, 0.9, 0.2])
AFFINE[3:9, 1] = torch.tensor([0.1, 0.2, 0.05])
RELATIVE = AFFINE.numpy().astype(np.float64) - AFFINE.numpy().mean(axis=0)
GAIN, OFFSET = np.exp(np.median(RELATIVE[:, 0], axis=0)), np.median(RELATIVE[:, 1], axis=0)


def run(out: Path, *args: str) -> None:
    folders = ["--exp_dir", str(out / "exp"), "--runs_dir", str(out / "runs"), "--gpu", "cpu"]
    assert launch.main([*folders, *args]) == 0


@dataclass
class ReadOut:
    """What a test pass leaves, as pictures and colours in [0, 1]."""

    psnr: float
    panels: list[np.ndarray]  # of held-out views
    vertices: np.ndarray
    texture: np.ndarray
    video: list[np.ndarray]  # panels of the orbit
    preview: np.ndarray


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[Tensor, Tensor]]]:
    """The folder of a run, and at the end of its training the median as the viewer has it, and as it is."""
    out, seen = tmp_path_factory.mktemp("exposed"), []
    own = [f"dataset.root_dir={write_sphere_scene(out / 'scene')}", *SMALL, *QUICK, "dataset.n_test_traj_steps=2"]
    own += [f"trainer.max_steps={STEPS}", "system.warmup_steps=2", "system.exposure=true", "tag=t"]
    own += ["export.formats=[ply,obj]"]
    own += ["export.texture=field", "export.texture_size=64", "model.variance.init_val=0.6"]
    ended = live.LiveView.on_train_end

    def look(view: live.LiveView, trainer: object, module: reconstruction.ReconstructionSystem) -> None:
        seen.append((view.session.viewed.shown()(torch.ones(1, 3)), module.learned["exposure"].median))
        ended(view, trainer, module)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live.LiveView, "on_train_end", look)
        run(out, "--config", "configs/neus-demo.yaml", "--train", "--view", "0", *own)
    (found,) = out.glob("exp/neus-demo/t@*")
    return found, seen


def read_out(folder: Path, affine: Tensor, monkeypatch: pytest.MonkeyPatch) -> ReadOut:
    """A test pass with other exposures in the checkpoint."""
    checkpoint = folder / f"ckpt/epoch=0-step={STEPS}.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["exposure.affine"] = affine
    torch.save(content, checkpoint)
    written, previews = [], []

    def note(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
        written.append((path.stem.split("-")[1], list(frames)))

    with monkeypatch.context() as patch:
        patch.setattr(reconstruction, "write_video", note)
        patch.setattr(Board, "show_mesh", lambda board, mesh, step: previews.append(mesh.colors / 255.0))
        run(folder.parents[2], "--resume", str(folder), "--test")
        run(folder.parents[2], "--resume", str(folder), "--predict")
    save = folder / "save"
    mesh = trimesh.load(next(save.glob("*.ply")), process=False)
    return ReadOut(
        psnr=json.loads((save / "metrics.json").read_text())["psnr"],
        panels=[read_image(path) for path in sorted(save.glob("it*-test/*.png"))],
        vertices=mesh.visual.vertex_colors[:, :3] / 255.0,
        texture=read_image(next(save.glob("*.png")))[..., :3] / 255.0,
        video=next(frames for kind, frames in written if kind == "predict"),
        preview=previews[0],
    )


@pytest.fixture(scope="module")
def pair(trained: tuple, tmp_path_factory: pytest.TempPathFactory) -> tuple[ReadOut, ReadOut]:
    """What is read out in the mean exposure, and in the median one."""
    with pytest.MonkeyPatch.context() as patch:
        return tuple(read_out(trained[0], affine, patch) for affine in (torch.zeros(20, 2, 3), AFFINE))


def assert_median(found: np.ndarray, mean: np.ndarray) -> None:
    """Colours in [0, 1], to the steps of both."""
    np.testing.assert_allclose(found, np.clip(mean * GAIN + OFFSET, 0.0, 1.0), atol=1.5 / 255.0)
    assert np.abs(found - mean).max() > 0.05


def test_the_mean_is_not_the_median() -> None:
    assert (np.abs(GAIN - 1.0) > 0.1).all()
    assert np.abs(OFFSET).min() > 0.01


def test_vertices_textures_and_previews_have_the_median_exposure(pair: tuple[ReadOut, ReadOut]) -> None:
    mean, median = pair
    for name in ("vertices", "texture", "preview"):
        assert_median(getattr(median, name), getattr(mean, name))


def test_frames_without_a_photograph_have_the_median_exposure(trained: tuple, pair: tuple[ReadOut, ReadOut]) -> None:
    mean, median = (found.video for found in pair)
    assert len(mean) == len(median) == 2
    for one, other in zip(mean, median, strict=True):
        before, after = (taken_apart(panel, 3) for panel in (one, other))
        rgb, seen = before[0] / 255.0, after[0] / 255.0
        centre = np.zeros((24, 24), bool)
        centre[10:14, 10:14] = True  # the sphere
        centre &= (rgb < 1.0).any(axis=-1)  # less what a quick training leaves empty
        assert centre.sum() > 8
        assert_median(seen[centre], rgb[centre])
        np.testing.assert_array_equal(seen[0, 0], rgb[0, 0])  # painted behind the masks
        for plain, same in zip(before[1:], after[1:], strict=True):
            np.testing.assert_array_equal(plain, same)
    predicted = [read_image(path) for path in sorted(trained[0].glob("save/it*-orbit/*.png"))]
    np.testing.assert_array_equal(predicted, median)


def test_photographs_are_compared_as_before(pair: tuple[ReadOut, ReadOut]) -> None:
    mean, median = pair
    assert mean.psnr == median.psnr
    assert len(mean.panels) == len(median.panels) == 2
    for one, other in zip(mean.panels, median.panels, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_that_is_watched_is_shown_in_the_median_of_its_exposures(trained: tuple) -> None:
    ((shown, median),) = trained[1]
    torch.testing.assert_close(shown[0], median[0].exp() + median[1])
    assert (shown - 1.0).abs().max() > 1e-4


def finished_run(folder: Path) -> FinishedRun:
    experiment, device = read_experiment([folder / "config/parsed.yaml"], []), torch.device("cpu")
    data = SceneData(experiment.dataset, False, 1, "auto")
    newest = checkpoints_in(folder)[0]
    return FinishedRun(
        experiment=experiment,
        run=RunFolder(folder),
        checkpoints={STEPS: newest},
        chosen=STEPS,
        device=device,
        correct=lambda learned: None,
        scene=lambda: data.scene("train"),
        views=lambda split: data.views(split, device),
        precision=torch.no_grad,
        world_from_scene=data.world_from_scene,
        up=data.up,
    )


def test_the_viewer_shows_and_exports_the_median_exposure(trained: tuple, pair: tuple[ReadOut, ReadOut]) -> None:
    """Of a finished run; its picture of errors compares photographs, in the mean as the report does."""
    viewed, mailbox, page = finished_run(trained[0]).viewed, Mailbox(), NotedPage()
    pictures = {}
    for number, (kind, model) in enumerate(
        (kind, model) for kind in ("rgb", "error") for model in (viewed, replace(viewed, shown=type(viewed).shown))
    ):
        session = Session(model, mailbox, page, {})
        mailbox.add_visitor(number)
        mailbox.set_view(number, camera=FRONT, picture=kind)
        session.serve_idle()
        pictures[kind, model is viewed] = page.pictures[-1][1].image / 255.0
        mailbox.remove_visitor(number)
    height, width = pictures["rgb", True].shape[:2]
    centre = slice(height // 2 - 2, height // 2 + 2), slice(width // 2 - 2, width // 2 + 2)
    assert_median(pictures["rgb", True][centre], pictures["rgb", False][centre])
    np.testing.assert_array_equal(pictures["error", True], pictures["error", False])
    said = export(viewed, mailbox)
    assert said.startswith("exported view-it")
    exported = trimesh.load(next(trained[0].glob("save/view-it*.ply")), process=False)
    np.testing.assert_array_equal(exported.visual.vertex_colors[:, :3] / 255.0, pair[1].vertices)


@pytest.mark.parametrize("exposed", [True, False])
def test_a_new_run_with_the_weights_of_another_has_exposures_of_its_own(trained: tuple, exposed: bool) -> None:
    out, tag = trained[0].parents[2], f"new{exposed}"
    options = ["--train", "--resume_weights_only", "trainer.max_steps=3", f"tag={tag}", "dataset.n_test_traj_steps=1"]
    run(out, "--resume", str(trained[0]), *options, f"system.exposure={str(exposed).lower()}")
    (checkpoint,) = out.glob(f"exp/neus-demo/{tag}@*/ckpt/*.ckpt")
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert ("exposure.affine" in state) == exposed
    assert not exposed or state["exposure.affine"].abs().max() < 0.3 < AFFINE.abs().max()
