"""Small Lightning callbacks: training time, random numbers that go on where they were, the config of a resumed run."""

import random
import time
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from systems.runs.recorded_config import ConfigRecord


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


class RandomState(Callback):
    """The random numbers of Python, NumPy and torch that nobody seeds by the step, such as those that a loss of one's
    own draws: they go on in a resumed training as they would have without the interruption."""

    def __init__(self) -> None:
        self._waiting: dict[str, Any] | None = None  # for the first step: what prepares it may draw too

    def on_train_batch_start(self, *args: Any) -> None:
        """Sets the states of a checkpoint, once."""
        if self._waiting is None:
            return
        state, self._waiting = self._waiting, None
        version, words, gauss = state["python"]
        random.setstate((version, tuple(words), gauss))
        np.random.set_state(("MT19937", state["numpy"].numpy().astype(np.uint32), *state["numpy_place"]))
        torch.set_rng_state(state["torch"])
        if "cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"])

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        _, words, *place = np.random.get_state()
        state = {"python": random.getstate(), "numpy": torch.from_numpy(words.astype(np.int64)), "numpy_place": place}
        state["torch"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self._waiting = state_dict


class ConfigKeeper(Callback):
    """Writes the configuration of a run that goes on into its folder, as soon as its checkpoint has been loaded."""

    def __init__(self, record: ConfigRecord, step: int) -> None:
        """step: at which the run goes on."""
        self._record: ConfigRecord | None = record
        self._step = step

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes once: a later attempt of the same run has changes of its own."""
        if self._record is not None:
            self._record.rewrite(self._step)
        self._record = None
