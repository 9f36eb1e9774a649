"""Small Lightning callbacks: training time, a last checkpoint."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback


class TrainingClock(Callback):
    """Seconds spent between the first and the last training step, validation included; kept across resumes."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started: float | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops the clock."""
        self.seconds, self._started = self.elapsed(), None

    def elapsed(self) -> float:
        """Seconds so far."""
        return self.seconds + (time.perf_counter() - self._started if self._started is not None else 0.0)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"seconds": self.elapsed()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self.seconds = state_dict["seconds"]


class FinalCheckpoint(Callback):
    """Saves the last step where no regular checkpoint falls on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes `epoch=E-step=N.ckpt` unless it is there."""
        path = self.folder / f"epoch={trainer.current_epoch}-step={trainer.global_step}.ckpt"
        if not any(self.folder.glob(f"*-step={trainer.global_step}.ckpt")):
            trainer.save_checkpoint(path)
