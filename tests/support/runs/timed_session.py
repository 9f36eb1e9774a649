"""A session whose pictures and meshes take time on a clock that only work moves."""

import numpy as np
import pytest
from viewed_scene import FRONT, NotedPage

from systems.viewer import meshes
from systems.viewer import session as sessions
from systems.viewer.pictures import RenderedPicture
from systems.viewer.requests import CameraState, Mailbox, MeshSettings
from systems.viewer.session import Session
from systems.viewer.surface import coarse_mesh
from systems.viewer.viewed import ViewedModel

STEP = 0.05  # seconds of training
PIXEL = 3e-5  # seconds of a visitor's picture
MESH = 0.02  # seconds of the coarsest mesh


class Clock:
    """Seconds that tests let pass."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class TimedSession:
    """A session whose pictures take time on a clock of its own and show nothing."""

    def __init__(self, subject: ViewedModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.page = Clock(), NotedPage()
        self.steps, self.sizes, self.resolutions = 0, [], []
        subject = type(subject)(**{**vars(subject), "step": lambda: self.steps})
        self.mailbox = Mailbox(now=self.clock, mesh=MeshSettings())
        self.session = Session(subject, self.mailbox, self.page, {"save": lambda: "saved"}, now=self.clock)
        monkeypatch.setattr(sessions, "render_picture", self._render)
        monkeypatch.setattr(meshes, "coarse_mesh", self._extract)

    def _render(self, model, background, scene, camera, picture, size, box, keep_going, **looks) -> RenderedPicture:
        self.clock.seconds += PIXEL * size[0] * size[1]
        self.sizes.append(size)
        return RenderedPicture(np.zeros((size[1], size[0], 3), np.uint8), np.zeros(size[::-1], np.float32))

    def _extract(self, model, experiment, level, resolution):
        self.clock.seconds += MESH * (resolution / 32) ** 2.5
        self.resolutions.append(resolution)
        return coarse_mesh(model, experiment, level, 32)

    def train(self, num: int, each=lambda step: None) -> float:
        """Seconds that visitors took of so many steps."""
        begun = self.clock.seconds
        for step in range(num):
            self.clock.seconds += STEP
            self.steps += 1
            each(step)
            self.session.serve_between_steps()
        return self.clock.seconds - begun - num * STEP


def come(viewed: TimedSession, visitor: int, size: tuple[int, int] = (1200, 900)) -> None:
    """A visitor arrives, with a window of a size."""
    viewed.mailbox.add_visitor(visitor)
    viewed.mailbox.set_view(visitor, camera=CameraState(FRONT.c2w, FRONT.fov, size))
