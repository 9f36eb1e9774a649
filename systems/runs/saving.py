"""Writes checkpoints every n-th step, every few minutes, at the end, and when a signal asks the process to stop."""

import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback

from systems.runs.checkpoints import write_checkpoint
from systems.steps.finite import require_finite
from utils.errors import OutputError
from utils.interrupts import Interrupts, Stopped

log = logging.getLogger(__name__)
_NAME = re.compile(r"epoch=\d+-step=\d+\.ckpt")
MAX_TIMED = 2  # checkpoints that are kept of those written by the clock or for a signal
RETRY_SECONDS = 60.0  # after a checkpoint that could not be written


class ChecksummedCheckpointIO(TorchCheckpointIO):
    """Has Lightning write its checkpoints by `write_checkpoint`."""

    def save_checkpoint(self, checkpoint: Mapping[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a checkpoint with its checksum, completely or not at all."""
        write_checkpoint(dict(checkpoint), Path(path))


class DeferSignals(Callback):
    """For processes that do not save: they must live until the first process has saved."""

    def __init__(self, interrupts: Interrupts) -> None:
        self.interrupts = interrupts

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From now on the first signal is only recorded."""
        self.interrupts.keep()


class Saver(Callback):
    """Writes `epoch=E-step=N.ckpt` into a folder; logs a warning if it cannot, and lets the training go on.

    every: steps; minutes: see trainer.save_every_minutes; keeps_all: false keeps the newest only. Only finite
    parameters are written, so that a training can always return to the newest checkpoint. Raises `Stopped` after the
    step in which a signal came."""

    def __init__(
        self,
        folder: Path,
        every: int,
        minutes: float,
        keeps_all: bool,
        interrupts: Interrupts,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.every, self.keeps_all = folder, every, keeps_all
        self.interrupts, self._now = interrupts, now
        self._period = 60.0 * minutes or float("inf")
        self._timed: list[str] = []  # file names of those written by the clock or for a signal, oldest first
        self.newest: Path | None = None  # checkpoint that this callback wrote
        self.saved_step = -1  # of the newest checkpoint on disk
        self._last = 0.0  # time of the last attempt to save
        self._retry: float | None = None  # time of the next attempt, after one that failed

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock, and from now on defers signals to the end of a step."""
        self._last = self._now()
        if trainer.global_step > 0:
            self.saved_step = trainer.global_step
        self.interrupts.keep()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Saves if it is time to."""
        now, step = self._now(), trainer.global_step
        if self.interrupts.received is not None:
            self._stop(trainer)
        elif step % self.every == 0 and step != self.saved_step:
            self._save(trainer, timed=False)
        elif now - self._last >= self._period or (self._retry is not None and now >= self._retry):
            self._save(trainer, timed=True)

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Stops within a validation pass, which may be long."""
        if self.interrupts.received is not None:
            self._stop(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the last step; from now on signals end the process at once."""
        self.save_last(trainer)
        self.interrupts.release()

    def save_last(self, trainer: pl.Trainer) -> None:
        """Saves the current step, unless it is on disk."""
        if trainer.global_step != self.saved_step:
            self._save(trainer, timed=False)

    def _stop(self, trainer: pl.Trainer) -> None:
        if trainer.global_step != self.saved_step:
            self._save(trainer, timed=True)
        raise Stopped(self.interrupts.received)

    def _save(self, trainer: pl.Trainer, timed: bool) -> None:
        require_finite(trainer.lightning_module)
        step, earlier = trainer.global_step, list(self._timed)
        path = self.folder / f"epoch={trainer.current_epoch}-step={step}.ckpt"
        self._last, self._retry = self._now(), None
        self._timed = [*earlier, path.name] if timed else earlier  # with itself: each checkpoint stores this list
        try:
            trainer.save_checkpoint(path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            self._timed, self._retry = earlier, self._last + RETRY_SECONDS
            reason = error.strerror if isinstance(error, OSError) else "the file does not grow as it should"
            log.warning(
                "step %d: the checkpoint cannot be written (%s). The training goes on, and it is tried again in a "
                "minute; the newest one is of step %s. Free some space in %s.",
                *(step, reason, self.saved_step if self.saved_step > 0 else "0: there is none", self.folder),
            )
            return
        self.saved_step, self.newest = step, path
        self._drop_old(path)

    def _drop_old(self, newest: Path) -> None:
        """Removes the checkpoints that are not kept, once the newest is safe on disk."""
        old, self._timed = self._timed[:-MAX_TIMED], self._timed[-MAX_TIMED:]
        if not self.keeps_all:
            old = [path.name for path in self.folder.glob("epoch=*-step=*.ckpt") if _step(path) < _step(newest)]
        for name in old:
            (self.folder / name).unlink(missing_ok=True)

    def check_saved(self, trainer: pl.Trainer) -> None:
        """Tries again to save the last step if that failed before. Raises OutputError if it fails again."""
        self.save_last(trainer)
        if self.saved_step != trainer.global_step:
            raise OutputError(
                f"{self.folder}: the checkpoint of step {trainer.global_step} could not be written, so the training is "
                f"lost from step {max(self.saved_step, 0)} on. Free some space, then --resume the run with --train."
            )

    def state_dict(self) -> dict[str, Any]:
        """The part of a checkpoint that belongs to this callback."""
        return {"passing": self._timed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the names from a checkpoint, except those of no checkpoint, so that no other file is removed."""
        self._timed = [name for name in state_dict["passing"] if _NAME.fullmatch(name)]


def _step(path: Path) -> int:
    return int(path.stem.rpartition("=")[2])
