"""The viewer of a training: a Lightning callback that serves visitors between steps."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from systems.runs import RunFolder
from systems.runs.saving import Saver
from systems.training.callbacks import TrainingClock
from systems.training.reconstruction import ReconstructionSystem
from systems.viewer.address import Address
from systems.viewer.page import ViserPage
from systems.viewer.session import Session, Subject
from systems.viewer.wishes import COMMANDS, Mailbox

log = logging.getLogger(__name__)
ALONE = 10.0  # seconds after which a training that was paused goes on without visitors; a page reloads in less


class LiveView(Callback):
    """Shows a training to visitors. Nothing that goes wrong here ends the training."""

    def __init__(self, address: Address) -> None:
        self.address, self.mailbox = address, Mailbox()
        self.page: ViserPage | None = None
        self.session: Session | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: ReconstructionSystem) -> None:
        """Opens the page; everything is on its device by now."""
        with self._harmless():
            self._open(trainer, pl_module)

    def _open(self, trainer: pl.Trainer, pl_module: ReconstructionSystem) -> None:
        self.mailbox = Mailbox()  # a run may take several attempts, and visitors come anew
        subject = Subject(
            model=pl_module.model,
            experiment=pl_module.experiment,
            scene=trainer.datamodule.scene("train"),
            views=lambda split: pl_module.data.views(split, pl_module.device),
            save_dir=pl_module.save_dir,
            world_from_scene=pl_module.data.world_from_scene,
            step=lambda: pl_module.current_step,
            status=lambda: _figures(pl_module.shown),
            precision=trainer.precision_plugin.val_step_context,
        )
        # Several processes wait for each other in each step, and not for as long as a visitor may pause one of them.
        commands = COMMANDS if trainer.world_size == 1 else ("save", "export")
        steps = range(trainer.max_steps + 1)
        self.page = ViserPage(subject, self.mailbox, self.address, steps, live=True, commands=commands)
        self.session = Session(subject, self.mailbox, self.page, {"save": lambda: _save(trainer, pl_module)})
        log.info("viewer:     %s", self.page.address.url)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Serves visitors, and stays here while they have the training paused."""
        if self.session is None:
            return
        with self._harmless():
            self.session.between_steps()
            if self.session.paused:
                self._pause(trainer)

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            log.exception("viewer: closed after an error of its own; the training goes on")
            self._close()

    def _pause(self, trainer: pl.Trainer) -> None:
        begun = seen = time.perf_counter()
        signals = [callback.interrupts for callback in trainer.callbacks if isinstance(callback, Saver)]
        while self.session.paused and not any(signal.received for signal in signals):
            self.session.at_leisure()
            seen = time.perf_counter() if len(self.mailbox) else seen
            if time.perf_counter() - seen > ALONE:
                log.info("viewer: the last visitor has left, so the training goes on")
                self.session.pause(False)
        for callback in trainer.callbacks:
            if isinstance(callback, TrainingClock):
                callback.seconds -= time.perf_counter() - begun

    def on_train_end(self, *args: Any) -> None:
        """Tells visitors that the page has nothing more to come."""
        if self.page is not None:
            self.page.tell("the training is over; scripts/view.py shows the finished run")
            self._close()

    def on_exception(self, *args: Any) -> None:
        """Closes the page."""
        self._close()

    def _close(self) -> None:
        if self.page is not None:
            self.page.close()
        self.page = self.session = None


def _save(trainer: pl.Trainer, system: ReconstructionSystem) -> str:
    path = RunFolder(system.save_dir.parent).ckpt / f"epoch={trainer.current_epoch}-step={trainer.global_step}.ckpt"
    trainer.save_checkpoint(path)
    return f"saved {path}"


def _figures(shown: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
