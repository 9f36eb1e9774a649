"""When checkpoints are written: by steps, by the clock, at the end, and when the process is told to end."""

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
PASSING = 2  # checkpoints that the clock or a signal asked for and that are kept
RETRY_SECONDS = 60.0  # after a checkpoint that could not be written


class ChecksummedCheckpointIO(TorchCheckpointIO):
    """Lightning's door to the disk: what it saves is written as `write_checkpoint` does it."""

    def save_checkpoint(self, checkpoint: Mapping[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a checkpoint whole and sealed, or not at all."""
        write_checkpoint(dict(checkpoint), Path(path))


class DeferSignals(Callback):
    """For processes that do not save: the first of them does, and all must live until it has."""

    def __init__(self, interrupts: Interrupts) -> None:
        self.interrupts = interrupts

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From now on the first signal is only noted."""
        self.interrupts.keep()


class Saver(Callback):
    """Writes `epoch=E-step=N.ckpt` into a folder; that it cannot be written is said, and does not end the training.

    every: steps; minutes: see trainer.save_every_minutes; keeps_all: otherwise only the newest is kept. A checkpoint is
    written only of finite parameters: the newest on disk is one to return to. Raises `Stopped` after the step in which
    a signal came."""

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
        self._passing: list[str] = []  # names of those that the clock or a signal asked for, oldest first
        self.newest: Path | None = None  # that this one wrote
        self.saved_step = -1  # of what is on disk
        self._last = 0.0  # on the clock
        self._retry: float | None = None  # on the clock, where the last one could not be written

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins to count minutes, and to keep signals for the end of a step."""
        self._last = self._now()
        if trainer.global_step > 0:
            self.saved_step = trainer.global_step
        self.interrupts.keep()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Saves where it is time to."""
        now, step = self._now(), trainer.global_step
        if self.interrupts.received is not None:
            self._stop(trainer)
        elif step % self.every == 0 and step != self.saved_step:
            self._save(trainer, passes=False)
        elif now - self._last >= self._period or (self._retry is not None and now >= self._retry):
            self._save(trainer, passes=True)

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Does not wait for the end of a long validation pass within the training."""
        if self.interrupts.received is not None:
            self._stop(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the last step, and lets signals end what comes after it."""
        self.save_last(trainer)
        self.interrupts.release()

    def save_last(self, trainer: pl.Trainer) -> None:
        """Saves the step that the model is at, unless that is on disk."""
        if trainer.global_step != self.saved_step:
            self._save(trainer, passes=False)

    def _stop(self, trainer: pl.Trainer) -> None:
        if trainer.global_step != self.saved_step:
            self._save(trainer, passes=True)
        raise Stopped(self.interrupts.received)

    def _save(self, trainer: pl.Trainer, passes: bool) -> None:
        require_finite(trainer.lightning_module)
        step, earlier = trainer.global_step, list(self._passing)
        path = self.folder / f"epoch={trainer.current_epoch}-step={step}.ckpt"
        self._last, self._retry = self._now(), None
        self._passing = [*earlier, path.name] if passes else earlier  # itself too: a checkpoint knows what it is
        try:
            trainer.save_checkpoint(path)
        except (OSError, RuntimeError) as error:  # torch tells a full disk as a RuntimeError
            self._passing, self._retry = earlier, self._last + RETRY_SECONDS
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
        """Removes what is not to be kept beside the newest, which is safe on disk."""
        old, self._passing = self._passing[:-PASSING], self._passing[-PASSING:]
        if not self.keeps_all:
            old = [path.name for path in self.folder.glob("epoch=*-step=*.ckpt") if _step(path) < _step(newest)]
        for name in old:
            (self.folder / name).unlink(missing_ok=True)

    def check_saved(self, trainer: pl.Trainer) -> None:
        """Tries once more to save what could not be saved at the end; raises OutputError where it is in vain."""
        self.save_last(trainer)
        if self.saved_step != trainer.global_step:
            raise OutputError(
                f"{self.folder}: the checkpoint of step {trainer.global_step} could not be written, so the training is "
                f"lost from step {max(self.saved_step, 0)} on. Free some space, then --resume the run with --train."
            )

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"passing": self._passing}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a checkpoint; names of other files in it, which nobody may have removed, are left out."""
        self._passing = [name for name in state_dict["passing"] if _NAME.fullmatch(name)]


def _step(path: Path) -> int:
    return int(path.stem.rpartition("=")[2])
