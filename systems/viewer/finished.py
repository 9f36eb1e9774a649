"""The viewer of a finished run: visitors choose among its checkpoints."""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch

from systems.configs import Experiment
from systems.export.exporter import Splits
from systems.runs import RunFolder
from systems.runs.checkpoints import load_weights
from systems.training.reconstruction import ReconstructionSystem
from systems.viewer.address import Address
from systems.viewer.page import ViserPage
from systems.viewer.photos import Photographed
from systems.viewer.session import Session, Subject
from systems.viewer.wishes import Mailbox
from utils import registry
from utils.errors import CheckpointError

log = logging.getLogger(__name__)


class FinishedRun:
    """Shows the checkpoints of a run until it is told to stop."""

    def __init__(
        self,
        experiment: Experiment,
        run: RunFolder,
        checkpoints: dict[int, Path],
        chosen: int,
        device: torch.device,
        scene: Photographed,
        views: Splits,
        precision: Callable[[], AbstractContextManager],
        world_from_scene: np.ndarray,
    ) -> None:
        """checkpoints: by their steps in ascending order; chosen: the step that is shown first; the rest as in
        `Subject`. Raises CheckpointError where that one does not fit."""
        self.checkpoints, self.mailbox = checkpoints, Mailbox(checkpoint=list(checkpoints).index(chosen))
        model = registry.build(experiment.model)
        self._system: ReconstructionSystem = registry.build(experiment.system, experiment, model, run.save)
        self._system.to(device)
        self._step = chosen
        self._load(chosen)
        self.subject = Subject(
            model=model,
            experiment=experiment,
            scene=scene,
            views=views,
            save_dir=run.save,
            world_from_scene=world_from_scene,
            step=lambda: self._step,
            status=lambda: self.checkpoints[self._step].name,
            precision=precision,
        )

    def serve(self, address: Address, stop: threading.Event, ready: Callable[[Address], None]) -> None:
        """Answers visitors until `stop` is set; ready: is told where the page is."""
        page = ViserPage(self.subject, self.mailbox, address, list(self.checkpoints), live=False, commands=("export",))
        session = Session(self.subject, self.mailbox, page, {})
        ready(page.address)
        try:
            while not stop.is_set():
                self._choose(session, page)
                session.at_leisure()
        finally:
            page.close()

    def _choose(self, session: Session, page: ViserPage) -> None:
        step = list(self.checkpoints)[self.mailbox.checkpoint]
        if step == self._step:
            return
        try:
            self._load(step)
        except CheckpointError as error:
            page.tell(str(error))
            self.mailbox.show(checkpoint=list(self.checkpoints).index(self._step))
            return
        session.forget()

    def _load(self, step: int) -> None:
        found = load_weights(self.checkpoints[step], self._system)
        self._system.model.on_step(found)
        self._step = step
