"""The viewer of a finished run, in which visitors choose among the checkpoints."""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from systems.configs import Experiment
from systems.export.exporter import LoadViews
from systems.runs import RunFolder
from systems.runs.checkpoints import load_weights
from systems.training.photographs import as_shown
from systems.training.reconstruction import ReconstructionSystem
from systems.viewer.address import Address
from systems.viewer.page import ViserPage
from systems.viewer.photos import ViewerScene
from systems.viewer.requests import Mailbox
from systems.viewer.session import Session
from systems.viewer.surface import exported_mesh
from systems.viewer.viewed import ViewedModel
from utils import registry
from utils.errors import CheckpointError

log = logging.getLogger(__name__)


class FinishedRun:
    """Shows the checkpoints of a run until it is stopped."""

    def __init__(
        self,
        experiment: Experiment,
        run: RunFolder,
        checkpoints: dict[int, Path],
        chosen: int,
        device: torch.device,
        correct: Callable[[Mapping[str, nn.Module]], None],
        scene: Callable[[], ViewerScene],
        views: LoadViews,
        precision: Callable[[], AbstractContextManager],
        world_from_scene: np.ndarray,
        up: np.ndarray,
    ) -> None:
        """checkpoints: by step, in ascending order; chosen: the step that is shown first; correct: gives the
        photographs the cameras of a checkpoint, see `corrections_of`; scene: loads them; the rest as in `ViewedModel`.

        Raises CheckpointError if the first checkpoint does not fit the model."""
        self.checkpoints, self.mailbox = checkpoints, Mailbox(checkpoint=list(checkpoints).index(chosen))
        model = registry.build(experiment.model)
        self._system: ReconstructionSystem = registry.build(experiment.system, experiment, model, run.save)
        self._system.to(device)
        self._step, self._correct = chosen, correct
        self._load(chosen)
        scene_from_world = np.linalg.inv(world_from_scene)
        exported = lru_cache(maxsize=1)(lambda step: exported_mesh(run.save, step, scene_from_world))
        self.viewed = ViewedModel(
            model=model,
            experiment=experiment,
            scene=scene(),
            views=views,
            save_dir=run.save,
            world_from_scene=world_from_scene,
            up=up,
            step=lambda: self._step,
            status=lambda: self.checkpoints[self._step].name,
            exported=lambda: exported(self._step),
            precision=precision,
            shown=lambda: as_shown(self._system.learned, self.viewed.scene.image(0)),
        )

    def serve(self, address: Address, stop: threading.Event, ready: Callable[[Address], None]) -> None:
        """Answers visitors until `stop` is set; ready: called with the address of the page once it is open."""
        page = ViserPage(self.viewed, self.mailbox, address, list(self.checkpoints), live=False, commands=("export",))
        session = Session(self.viewed, self.mailbox, page, {})
        session.is_told_to_end = stop.is_set
        ready(page.address)
        try:
            while not stop.is_set():
                self._switch_checkpoint(session, page)
                session.serve_idle()
        finally:
            page.close()

    def _switch_checkpoint(self, session: Session, page: ViserPage) -> None:
        step = list(self.checkpoints)[self.mailbox.checkpoint]
        if step == self._step:
            return
        try:
            self._load(step)
        except CheckpointError as error:
            page.show_message(str(error))
            self.mailbox.set_shared(checkpoint=list(self.checkpoints).index(self._step))
            return
        session.invalidate()

    def _load(self, step: int) -> None:
        trained_steps = load_weights(self.checkpoints[step], self._system, self._system.expect)
        self._system.model.on_step(trained_steps)
        self._correct(self._system.learned)
        self._step = step
