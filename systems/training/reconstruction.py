"""The Lightning module: draws rays, renders, weighs losses, validates and tests; for NeuS and NeRF alike."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.base import VolumeModel
from models.slow_networks import warn_of_slow_networks
from systems.configs import Experiment
from systems.runs.board import Board
from systems.runs.checkpoints import fit_training_state
from systems.runs.meters import Meters
from systems.steps.divergence import CHECKED_EVERY, DivergenceMonitor
from systems.steps.error_map import ErrorMap
from systems.steps.graphs import is_capturable
from systems.steps.optim import build_optimizer, check_parts, restore_settings
from systems.steps.overhead import LightModule
from systems.steps.readout import Readout
from systems.steps.step import Figures, TrainingStep
from systems.training import photographs
from systems.training.data import Data
from systems.training.frames import FrameWriter, WritingBeside
from systems.training.mesh_beside import MeshBeside
from systems.training.orbit_video import frames_per_second, plan_orbit, write_orbit
from systems.training.rendering import Renderer
from utils.errors import ReconstructionError
from utils.files import BestEffortWrites
from utils.video import write_video

log = logging.getLogger(__name__)


class ReconstructionSystem(LightModule):
    """Trains a volume model on posed photographs."""

    def __init__(self, config: Any, experiment: Experiment, model: VolumeModel, save_dir: Path) -> None:
        super().__init__()
        self.config, self.experiment, self.model, self.save_dir = config, experiment, model, save_dir
        self.learned: dict[str, torch.nn.Module] = {}  # of the training images, beside the model: see `setup`, `expect`
        self.error_map: ErrorMap | None = None  # of the training images; made by `setup`, which knows their number
        check_parts(config, self._parts())
        self.view_metrics: list[dict[str, float]] = []
        self.report: dict[str, Any] = {}
        self.readout, self.best_effort = Readout(), BestEffortWrites()
        self.validated = WritingBeside("val", self.best_effort)
        self.logged: dict[str, float] = {}  # the newest figures of a training
        self.failure: ReconstructionError | None = None  # raised after everything else is written
        self.writer: FrameWriter | None = None  # of the frames of this pass
        self.mesh: MeshBeside | None = None  # of this test pass
        self.loaded_step = 0  # step of the checkpoint that the weights come from

    @property
    def current_step(self) -> int:
        """The training steps that the weights have had."""
        return max(self.global_step, self.loaded_step)

    @property
    def data(self) -> Data:
        """The datamodule of the trainer."""
        return self.trainer.datamodule

    @cached_property
    def board(self) -> Board:
        """Writes what TensorBoard shows beside the curves."""
        return Board(self.loggers, self.experiment)

    def setup(self, stage: str) -> None:
        """Makes the parts that depend on the training images; only training needs them."""
        if stage != "fit":
            return
        self.data.correct_cameras(None)  # as an attempt before this one may have left them
        views, config = self.data.views("train", self.device), self.config
        self._learn(photographs.new_parts(config, views))
        if config.error_guided > 0.0:
            self.error_map = ErrorMap(config.error_guided, views.photographs, views.heights)

    def expect(self, weights: Mapping[str, Tensor]) -> None:
        """Makes the parts that weights are of, for held-out photographs and for the cameras of an export."""
        self._learn(photographs.parts_like(weights))

    def _learn(self, parts: Mapping[str, torch.nn.Module]) -> None:
        for name in self.learned:
            delattr(self, name)
        self.learned = {name: part.to(self.device) for name, part in parts.items()}
        for name, part in self.learned.items():
            self.add_module(name, part)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Before the state of a checkpoint is loaded to go on with the training."""
        fit_training_state(checkpoint["state_dict"], self)

    def _parts(self) -> dict[str, list[torch.nn.Parameter]]:
        """Parameters by the names that `system.optimizer.params` uses."""
        own = {name: self.learned.get(name, torch.nn.Module()) for name in self.config.learned_parts}
        return self.model.parts() | {name: list(part.parameters()) for name, part in own.items()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser; each step sets its learning rates."""
        return build_optimizer(self.config, self._parts())

    def on_train_start(self) -> None:
        """Prepares what the training steps share, on this device."""
        warn_of_slow_networks(self.model)
        views, optimizer = self.data.views("train", self.device), self.trainer.optimizers[0]
        restore_settings(optimizer, self.config, self._parts())
        allowed = self.experiment.trainer.cuda_graph and self.experiment.model.backend != "tinycudann"
        self.uses_cuda_graph = (
            allowed and views.capturable and is_capturable(self.device, self.trainer.precision_plugin)
        )
        step = self.model, self.experiment, views, optimizer, self.device, self.uses_cuda_graph
        self.step = TrainingStep(
            *step, photographs.photometry(self.learned, views), self.error_map, self.learned.get("poses")
        )
        timed, kept = self.experiment.trainer, self.experiment.checkpoint
        self._ends = CHECKED_EVERY, timed.log_every_n_steps, timed.val_check_interval, kept.every_n_train_steps
        self._ends += (timed.max_steps,)
        self.divergence = DivergenceMonitor(self, self.model, timed.max_steps)
        self.meters = Meters(self.device, self.global_step - 1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One step, or, captured, several: rays, render, weighted losses. The host does not wait for it, and logs
        metrics when they arrive."""
        figures = self.take_steps(self.step.run, self._ends if self.uses_cuda_graph and batch_idx > 0 else (1,))
        if self._is_logged(self.global_step) or (self.global_step + 1) % CHECKED_EVERY == 0:
            self._log_arrived(wait=True)
            self._send_metrics(figures)
        self._log_arrived()
        return figures.loss

    @property
    def shown(self) -> dict[str, float]:
        """The figures for the progress display, once there are some."""
        return {name: self.logged[f"train/{name}"] for name in ("loss", "psnr") if self.logged}

    def _is_logged(self, step: int) -> bool:
        return (step + 1) % self.experiment.trainer.log_every_n_steps == 0

    def on_train_end(self) -> None:
        """Logs the metrics that are still on their way from the device."""
        self._log_arrived(wait=True)
        self.validated.finish()
        self.step.close()

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Lightning's hook; with a CUDA graph, the step has done this already, and what the next two hooks do."""
        if not self.uses_cuda_graph:
            super().backward(loss, *args, **kwargs)
            self.step.ranks.average([part.grad for part in self.parameters() if part.grad is not None])

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """See `backward`."""
        if not self.uses_cuda_graph:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """See `backward`."""
        if self.uses_cuda_graph:
            optimizer_closure()
        else:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)

    def _send_metrics(self, figures: Figures) -> None:
        values = figures.by_name()
        values["occupied"] = self.model.occupancy.occupied.float().mean()
        values = self.step.ranks.gather(values, ("rays", "samples")) | self.divergence.probe()
        self.readout.send(self.global_step, values)

    def _log_arrived(self, wait: bool = False) -> None:
        """Logs metrics that have arrived, under their own step. Raises NotFiniteError if one is NaN or infinite."""
        step, values = self.readout.take(wait) or (0, {})
        values = self.divergence.check(step, values)
        if not values or not self._is_logged(step):
            return
        values["psnr"] = -10.0 * math.log10(max(values.pop("mse"), 1e-10))
        named = {f"train/{name}": value for name, value in values.items()} | self.meters.read(step, values["rays"])
        named |= {f"lr/{name}": rate for name, rate in self.step.rates_at(step).items()}
        self.logged = named
        self._log(named, step)
        if values["samples"] == 0:
            log.warning(
                "step %d: no sample lies in an occupied cell, so the model learns nothing. Check model.radius against "
                "the scene, dataset.near_plane and dataset.far_plane, or set model.grid_prune=false.",
                step,
            )

    def _log(self, named: dict[str, float], step: int) -> None:
        for logger in self.loggers:  # not through Lightning, which would log them under another step
            logger.log_metrics(named, step)
            logger.save()

    @property
    def renderer(self) -> Renderer:
        """Renders views with the weights as they are."""
        return Renderer(self.model, self.learned, self.data, self.device)

    def on_test_start(self) -> None:
        """As before every pass; takes the mesh from the model, whose files are written while the views are rendered."""
        self._begin_pass()
        told = self.save_dir / f"it{self.current_step}", self.data, partial(self.data.views, device=self.device)
        self.mesh = MeshBeside(self.model, self.experiment, *told, self.renderer.shown)
        self.failure = self.mesh.failure
        self.writer = FrameWriter(self._write_video("test", len(self.data.views("test", self.device).image_names)))

    def on_predict_start(self) -> None:
        """As before every pass."""
        self._begin_pass()
        self.writer = FrameWriter(self._write_video("predict", self.data.predicted_views))

    def _begin_pass(self) -> None:
        """Sets the model and the cameras to the current step; drops the results of an earlier pass."""
        self.renderer.begin(self.current_step)
        self.view_metrics = []

    on_validation_start = _begin_pass

    def _video(self, name: str) -> Path:
        return self.save_dir / f"it{self.current_step}-{name}.mp4"

    def _write_video(self, name: str, num: int) -> Callable[[Iterator[np.ndarray]], None]:
        fps = frames_per_second(num, self.experiment.export.video_fps)
        return lambda frames: write_video(self._video(name), frames, fps)

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Around a pass; ends what other threads still write of one that fails or is stopped."""
        try:
            yield
        except BaseException:
            for part in filter(None, (self.writer, self.mesh)):
                part.drop()
            raise

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Renders one validation view beside its photograph and keeps the metrics."""
        view = self.renderer.held_out("val", int(batch))
        self.log_dict({f"val/{name}": value for name, value in view.metrics.items()}, batch_size=1, logger=False)
        self.view_metrics.append(view.metrics)
        self.validated.add(view, self._png("val", int(batch)), partial(self.board.show_picture, step=self.current_step))

    def test_step(self, batch: int, batch_idx: int) -> None:
        """Renders one held-out view beside its photograph and keeps the metrics."""
        view = self.renderer.held_out("test", int(batch))
        self.log_dict({f"test/{name}": value for name, value in view.metrics.items()}, batch_size=1, logger=False)
        self.view_metrics.append(view.metrics)
        self.writer.add(view, self._png("test", int(batch)))

    def predict_step(self, batch: int, batch_idx: int) -> None:
        """Renders one frame of the orbit."""
        self.writer.add(self.renderer.predicted(int(batch)), self._png("orbit", int(batch)))

    def _png(self, name: str, index: int) -> Path:
        return self.save_dir / f"it{self.current_step}-{name}" / f"{index:03d}.png"

    def _mean_metrics(self, split: str) -> dict[str, Any]:
        """The mean metrics over the views of a pass, and the number of views; logs the means."""
        names = dict.fromkeys(name for view in self.view_metrics for name in view)
        means = {name: float(np.mean([view[name] for view in self.view_metrics if name in view])) for name in names}
        self._log({f"{split}/{name}": mean for name, mean in means.items()}, self.current_step)
        return {**means, "views": len(self.view_metrics)}

    def on_validation_end(self) -> None:
        """Writes the mean metrics into `report`."""
        self.report = self._mean_metrics("val")
        with self.best_effort("the config for TensorBoard"):
            self.board.show_config(self.current_step)
        if self.trainer.state.fn != "fit":
            self.validated.finish()
        else:
            self.meters.restart(self.global_step - 1)

    def on_test_end(self) -> None:
        """Waits for the frames, the video and the mesh; writes the metrics into `report`."""
        frames, clip = self.writer, self._video("test").name
        video = {"video": clip, "held_out_video": clip, "up": self.renderer.world_up}
        plan = plan_orbit(self.data.orbit_views, self.renderer.size, self.device.type == "cuda")
        write = plan and self._write_video("orbit", plan.frames)
        with frames.finishing(), self.trainer.precision_plugin.forward_context():  # beside the orbit, as the views
            if plan and write_orbit(write, plan, self.renderer, self.mesh.surface):
                video["video"] = self._video("orbit").name
        self.report = self._mean_metrics("test") | video | frames.figures(self.save_dir)
        self.report["mesh"], compared, small = self.mesh.finish()
        if small is not None:
            self.board.show_mesh(small, self.current_step)
        self.report |= photographs.keep_cameras(self.learned, self.data, self.device, self.save_dir) | compared
        self.board.show_config(self.current_step)
        self.board.show_files("test", self._png("test", 0).parent, self.current_step)
        self.board.show_figures(self.report, self.current_step)

    def on_predict_end(self) -> None:
        """Waits for the frames and the video of the orbit."""
        self.writer.finish()
        self.report = {"views": self.writer.num_files, "video": self._video("predict").name}
