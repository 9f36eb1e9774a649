"""A small model and its scene as the viewer gets them, without any training; and a page that only takes notes."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from sphere_scene import write_sphere_scene
from variants import SMALL

from datasets.datamodule import SceneData
from systems.configs import read_experiment
from systems.viewer.pictures import RenderedPicture
from systems.viewer.requests import CameraState
from systems.viewer.viewed import ViewedModel
from utils import registry
from utils.mesh import Mesh

FRONT = CameraState(
    np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, -3.0], [0.0, -1.0, 0.0, 0.0]]), fov=0.5, size=(64, 48)
)  # from the -y axis, z up


class NotedPage:
    """Takes down what visitors would see."""

    def __init__(self) -> None:
        self.pictures: list[tuple[int, RenderedPicture | None]] = []
        self.meshes: list[Mesh | None] = []
        self.videos: list[float | None] = []
        self.paused: list[bool] = []
        self.said: list[str] = []
        self.status: list[tuple[str, int]] = []

    def show_picture(self, visitor: int, picture: RenderedPicture | None) -> None:
        self.pictures.append((visitor, picture))

    def show_mesh(self, visitor: int, mesh: Mesh | None) -> None:
        self.meshes.append(mesh)

    def show_status(self, text: str, step: int) -> None:
        self.status.append((text, step))

    def show_paused(self, paused: bool) -> None:
        self.paused.append(paused)

    def show_message(self, text: str) -> None:
        self.said.append(text)

    def show_video(self, share: float | None) -> None:
        self.videos.append(share)


def make_viewed_model(folder: Path, *overrides: str, config: str = "neus-demo") -> ViewedModel:
    """A model before its first step: an SDF is roughly a sphere of radius 0.6."""
    torch.manual_seed(0)
    root = write_sphere_scene(folder / "scene")
    experiment = read_experiment([f"configs/{config}.yaml"], [f"dataset.root_dir={root}", *SMALL, *overrides])
    model = registry.build(experiment.model)
    model.on_step(0)
    data = SceneData(experiment.dataset, False, 1, "auto")
    return ViewedModel(
        model=model,
        experiment=experiment,
        scene=data.scene("train"),
        views=lambda split: data.views(split, torch.device("cpu")),
        save_dir=folder / "save",
        world_from_scene=np.eye(4),
        up=np.array([0.0, 0.0, 1.0]),
        step=lambda: 0,
        status=lambda: "loss 1",
        precision=nullcontext,
    )
