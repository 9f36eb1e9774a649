"""The viewer of a running training: a Lightning callback that serves visitors between steps."""

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
from systems.training.photographs import as_shown
from systems.training.progress_display import ProgressDisplay, metric_texts
from systems.training.reconstruction import ReconstructionSystem
from systems.viewer.address import Address
from systems.viewer.page import ViserPage
from systems.viewer.requests import COMMANDS, Mailbox
from systems.viewer.session import Session
from systems.viewer.start import upward
from systems.viewer.viewed import ViewedModel

log = logging.getLogger(__name__)
RESUME_AFTER = 10.0  # seconds without visitors after which a paused training goes on; a page reloads faster


class LiveView(Callback):
    """Shows a training to visitors. An error in the viewer closes the page; the training goes on."""

    def __init__(self, address: Address) -> None:
        self.address, self.mailbox = address, Mailbox()
        self.page: ViserPage | None = None
        self.session: Session | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: ReconstructionSystem) -> None:
        """Opens the page, now that the model is on its device; visitors wait for a step, not for several."""
        pl_module.at_once = 1
        with self._survive_errors():
            self._open(trainer, pl_module)

    def _open(self, trainer: pl.Trainer, pl_module: ReconstructionSystem) -> None:
        self.mailbox = Mailbox()  # a run may take several attempts, and visitors connect again for each
        viewed = ViewedModel(
            model=pl_module.model,
            experiment=pl_module.experiment,
            scene=trainer.datamodule.scene("train"),
            views=lambda split: pl_module.data.views(split, pl_module.device),
            save_dir=pl_module.save_dir,
            world_from_scene=pl_module.data.world_from_scene,
            up=upward(trainer.datamodule.scene("train").stand, pl_module.data.up),
            step=lambda: pl_module.current_step,
            status=lambda: _status(trainer, pl_module),
            precision=trainer.precision_plugin.val_step_context,
            shown=lambda: as_shown(pl_module.learned, trainer.datamodule.scene("train").image(0)),
        )
        # Several processes wait for each other in each step, but not for as long as a visitor may pause one of them.
        commands = COMMANDS if trainer.world_size == 1 else ("save", "export")
        steps = range(trainer.max_steps + 1)
        self.page = ViserPage(viewed, self.mailbox, self.address, steps, live=True, commands=commands)
        self.session = Session(viewed, self.mailbox, self.page, {"save": lambda: _save(trainer, pl_module)})
        log.info("viewer:     %s", self.page.address.url)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Serves visitors, and waits here while they have paused the training."""
        if self.session is None:
            return
        with self._survive_errors():
            self.session.serve_between_steps()
            if self.session.paused:
                self._pause(trainer)

    @contextmanager
    def _survive_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            log.exception("viewer: closed after an error of its own; the training goes on")
            self._close()

    def _pause(self, trainer: pl.Trainer) -> None:
        begun = seen = time.perf_counter()
        signals = [callback.interrupts for callback in trainer.callbacks if isinstance(callback, Saver)]
        self.session.is_told_to_end = lambda: any(signal.received for signal in signals)
        while self.session.paused and not self.session.is_told_to_end():
            self.session.serve_idle()
            seen = time.perf_counter() if len(self.mailbox) else seen
            if time.perf_counter() - seen > RESUME_AFTER:
                log.info("viewer: the last visitor has left, so the training goes on")
                self.session.pause(False)
        took = time.perf_counter() - begun
        for callback in trainer.callbacks:
            if isinstance(callback, TrainingClock):
                callback.seconds -= took
            elif isinstance(callback, ProgressDisplay):
                callback.pause(took)

    def on_train_end(self, *args: Any) -> None:
        """Tells visitors that the training is over, and closes the page."""
        if self.page is not None:
            self.page.show_message("the training is over; scripts/view.py shows the finished run")
            self._close()

    def on_exception(self, *args: Any) -> None:
        """Closes the page."""
        self._close()

    def _close(self) -> None:
        if self.page is not None:
            self.page.close()
        self.page = self.session = None


def _status(trainer: pl.Trainer, system: ReconstructionSystem) -> str:
    """Loss and PSNR in one line, the rate and the time left in the next."""
    displays = [callback for callback in trainer.callbacks if isinstance(callback, ProgressDisplay)]
    told = [", ".join(display.rate_and_time_left(system.current_step)) for display in displays]
    return "\n".join(filter(None, [", ".join(metric_texts(system.shown)), *told]))


def _save(trainer: pl.Trainer, system: ReconstructionSystem) -> str:
    path = RunFolder(system.save_dir.parent).ckpt / f"epoch={trainer.current_epoch}-step={trainer.global_step}.ckpt"
    trainer.save_checkpoint(path)
    return f"saved {path}"
