"""Lightning callbacks: training time, random numbers that go on where they were, the config of a resumed run."""

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from systems.runs.recorded_config import ConfigRecord
from utils.stages import Stages


class TrainingClock(Callback):
    """Seconds from the first to the last training step, including validation, summed over resumes."""

    state_key = "TrainingClock"  # in checkpoints; it must stay if the class is renamed

    def __init__(self, stages: Stages | None = None) -> None:
        """stages: of the run; its start ends with the first step."""
        self.stages = Stages() if stages is None else stages
        self.seconds = 0.0
        self._started: float | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self.stages.end("trainer")
        self._started = time.perf_counter()

    def on_train_batch_start(self, *args: Any) -> None:
        """Everything is prepared."""
        self.stages.end("preparation")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """The start ends, once the device has done the first step."""
        if "first_step" not in self.stages.seconds:
            if pl_module.device.type == "cuda":
                torch.cuda.synchronize(pl_module.device)
            self.stages.end("first_step")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops the clock."""
        self.seconds, self._started = self.elapsed(), None
        self.stages.end("training")

    def on_test_start(self, *args: Any) -> None:
        """The last checkpoint is written; next, the module takes the mesh from the model."""
        self.stages.end("saving")

    def on_test_batch_start(self, *args: Any) -> None:
        """The mesh is extracted; its files are written meanwhile."""
        self.stages.end("mesh")

    def on_test_end(self, *args: Any) -> None:
        """The held-out views are rendered; next, the module makes the video and waits for files."""
        self.stages.end("views")

    def elapsed(self) -> float:
        """Seconds so far."""
        return self.seconds + (time.perf_counter() - self._started if self._started is not None else 0.0)

    def state_dict(self) -> dict[str, Any]:
        """The seconds so far, for a checkpoint."""
        return {"seconds": self.elapsed()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues from the seconds in a checkpoint."""
        self.seconds = state_dict["seconds"]


class Doubt(Callback):
    """Has said what is doubtful about the photographs of a training as soon as that is known, and once."""

    def __init__(self, say: Callable[[bool], bool]) -> None:
        """say: whether it has been said; it waits until it is known if the argument says so."""
        self._say, self._is_said = say, False

    def on_train_batch_end(self, *args: Any) -> None:
        """Says it if it is known."""
        self._is_said = self._is_said or self._say(False)

    def on_train_end(self, *args: Any) -> None:
        """Says it after a training that was faster."""
        self._is_said = self._is_said or self._say(True)


class RandomState(Callback):
    """Saves and restores the global generators of Python, NumPy and torch, so that a resumed training draws the same
    numbers from them as one without an interruption. A user's own loss may draw from them; the framework does not."""

    state_key = "RandomState"  # in checkpoints; it must stay if the class is renamed

    def __init__(self) -> None:
        self._waiting: dict[str, Any] | None = None  # restored at the first step, since preparing it may draw numbers

    def on_train_batch_start(self, *args: Any) -> None:
        """Restores the states of a checkpoint, before the first step only."""
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
        """The states of all generators, for a checkpoint."""
        _, words, *place = np.random.get_state()
        state = {"python": random.getstate(), "numpy": torch.from_numpy(words.astype(np.int64)), "numpy_place": place}
        state["torch"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps the states of a checkpoint for the first step."""
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
