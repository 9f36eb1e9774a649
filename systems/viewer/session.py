"""Serves visitors on the thread that owns the model: decides what to do next and in how much time, runs buttons."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from models.base import VolumeModel
from systems.configs import Experiment
from systems.export.exporter import LoadViews, export_mesh
from systems.steps.step import view_background
from systems.viewer.budget import MeshSizer, PictureSizer, TimeBudget
from systems.viewer.photos import ViewerScene
from systems.viewer.pictures import RenderedPicture, render_picture
from systems.viewer.requests import Command, CropBox, Mailbox, MeshSettings, Visitor
from systems.viewer.surface import coarse_mesh, crop_to_box, level_from_slider, with_level, with_views
from systems.views import Shown, as_rendered
from utils.errors import InputError, ReconstructionError
from utils.mesh import Mesh

log = logging.getLogger(__name__)
PICTURE_SHARE, MESH_SHARE = 0.05, 0.02  # of the training time; below a tenth together with the server's threads
MAX_BUDGET = 0.5  # seconds that either may save up
STILL_AFTER = 0.3  # seconds since the last movement, after which a camera gets finer pictures
REFRESHED_AFTER = 1.0  # seconds between two pictures for a camera that stands still
STATUS_EVERY = 0.5  # seconds
NO_STEP = -1
MESH_OFFSET = 0.05  # radii; the picture moves back by this, or its surface would show through the mesh in patches
MIN_GROWTH = 1.3  # a picture of the same view is rendered again only with this many times the pixels


@dataclass(frozen=True)
class TimeLimits:
    """About how many seconds one piece of work may take."""

    moving: float  # a picture for a camera that moves
    still: tuple[float, ...]  # pictures for a camera that stands still, one after the other
    requested_mesh: float  # a mesh that a visitor waits for
    mesh: float  # a mesh that only becomes finer or follows the training
    can_abort: bool  # whether a new request aborts the picture for a still camera


WHILE_TRAINING = TimeLimits(moving=0.03, still=(0.3,), requested_mesh=0.05, mesh=0.4, can_abort=False)
WHILE_IDLE = TimeLimits(moving=0.08, still=(0.8, 8.0), requested_mesh=0.2, mesh=1.5, can_abort=True)


class Page(Protocol):
    """What visitors see. No call waits for a visitor, and none fails because a visitor has left."""

    def show_picture(self, visitor: int, picture: RenderedPicture | None) -> None: ...
    def show_mesh(self, mesh: Mesh | None) -> None: ...
    def show_status(self, text: str, step: int) -> None: ...
    def show_paused(self, paused: bool) -> None: ...
    def show_message(self, text: str) -> None: ...


@dataclass(frozen=True)
class ViewedModel:
    """A model, and everything around it that the viewer needs."""

    model: VolumeModel
    experiment: Experiment
    scene: ViewerScene  # the training views
    views: LoadViews
    save_dir: Path
    world_from_scene: np.ndarray  # (4, 4)
    step: Callable[[], int]  # training steps behind the weights
    status: Callable[[], str]  # a line about them, such as loss and PSNR
    precision: Callable[[], AbstractContextManager]  # context in which views are rendered
    shown: Callable[[], Shown] = lambda: as_rendered  # see `as_shown`; asked for whenever colours are shown

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.model.occupancy.value.device


@dataclass(frozen=True)
class LastPicture:
    """What a visitor was shown last."""

    version: int
    pixels: int
    step: int
    when: float


class Session:
    """Answers the requests in the mailbox; every call comes from the same thread, the one that owns the model."""

    def __init__(
        self,
        viewed: ViewedModel,
        mailbox: Mailbox,
        page: Page,
        actions: Mapping[Command, Callable[[], str]],
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        """actions: run for buttons other than pause, resume and export; each returns a message for the page."""
        self.viewed, self.mailbox, self.page, self.now = viewed, mailbox, page, now
        self.actions = {"export": self.export, **actions}
        self.paused = False
        self.picture_time, self.mesh_time = TimeBudget(PICTURE_SHARE, MAX_BUDGET), TimeBudget(MESH_SHARE, MAX_BUDGET)
        self._picture_sizer, self._mesh_sizer = PictureSizer(), MeshSizer()
        self._background = view_background(viewed.experiment.model, viewed.device)
        self._last: dict[int, LastPicture] = {}  # by visitor
        self._whole: Mesh | None = None  # the last mesh, before it was cropped
        self._resolution = 0  # of that mesh
        self._made_of: tuple[int, MeshSettings] | None = None  # step and settings of that mesh
        self._box: CropBox | None = None  # to which it was cropped
        self._since: float | None = None  # when the training last went on
        self._waited = 0.0  # seconds that the current piece of work waited for training steps under way
        self._status_at = -STATUS_EVERY

    def serve_between_steps(self) -> None:
        """Spends on visitors what they have earned since the last call; returns at once if there are none."""
        if not len(self.mailbox):
            self._since = None
            return
        self._run_commands()
        begun = self.now()
        if self._since is not None:
            self._earn(begun - self._since)
        if self.picture_time.seconds >= 0.0:
            self._run_on(self.picture_time, self._update_status)
            self._run_on(self.picture_time, partial(self._update_picture, WHILE_TRAINING))
        # A visitor who moves a slider waits for the mesh; one that only follows the training waits until it is paid.
        cost = 0.0
        if not self._mesh_is_requested():
            cost = self._mesh_sizer.predicted(self._mesh_sizer.best_within(WHILE_TRAINING.mesh))
        budget = self.picture_time if cost == 0.0 and self.mesh_time.seconds < 0.0 else self.mesh_time
        if budget.seconds >= cost:
            self._run_on(budget, partial(self._update_mesh, WHILE_TRAINING))
        self._since = self.now()

    def serve_idle(self) -> None:
        """Does the next piece of work, or waits a moment for a request; for when no training waits."""
        self._run_commands()
        self._update_status()
        if not (self._update_picture(WHILE_IDLE) or self._update_mesh(WHILE_IDLE)):
            self.mailbox.wait(0.1)
        self._since = None

    def pause(self, paused: bool) -> None:
        """Sets `paused`; whoever runs the training reads it and waits."""
        self.paused = paused
        self.page.show_paused(paused)

    def invalidate(self) -> None:
        """Renders and extracts everything again, because the model has other weights."""
        self._last.clear()
        self._made_of = None

    def export(self) -> str:
        """Writes the mesh as launch.py does, at the level and within the box of the page; returns which files."""
        viewed, box = self.viewed, self.mailbox.box
        level = level_from_slider(viewed.model, viewed.experiment, viewed.views, self.mailbox.mesh.level)
        stem = viewed.save_dir / f"view-it{viewed.step()}"
        export = partial(export_mesh, crop=partial(crop_to_box, box=box), shown=viewed.shown())
        told = with_level(viewed.experiment, level), stem, viewed.world_from_scene, viewed.views
        report = export(viewed.model, *told)
        return f"exported {', '.join(report['files'])}: {report['faces']} faces, in {stem.parent}"

    def _run_commands(self) -> None:
        for command in self.mailbox.take_commands():
            if command in ("pause", "resume"):
                self.pause(command == "pause")
            elif command in self.actions:
                self._run_action(command)

    def _run_action(self, command: Command) -> None:
        self.page.show_message(f"{command}: under way")
        try:
            message = self.actions[command]()
        except (InputError, OSError) as error:
            message = f"{command}: {error}"
        log.info("viewer: %s", message)
        self.page.show_message(message)

    def _earn(self, seconds: float) -> None:
        self.picture_time.earn(seconds)
        self.mesh_time.earn(seconds)

    def _run_on(self, budget: TimeBudget, work: Callable[[], object]) -> None:
        begun, self._waited = self.now(), 0.0
        work()
        budget.spend(self.now() - begun - self._waited)
        self._earn(self._waited)

    def _wait_for_device(self) -> None:
        """Waits for the steps that the host has launched: this time belongs to the training, not to visitors."""
        begun = self.now()
        if self.viewed.device.type == "cuda":
            torch.cuda.synchronize(self.viewed.device)
        self._waited += self.now() - begun

    def _update_status(self) -> None:
        if self.now() - self._status_at >= STATUS_EVERY:
            self._status_at = self.now()
            self.page.show_status(self.viewed.status(), self.viewed.step())

    def _update_picture(self, limits: TimeLimits) -> bool:
        """Renders for the visitor who has waited longest, among those who need a picture; False if none does."""
        visitors = self.mailbox.visitors()
        self._last = {number: last for number, last in self._last.items() if number in visitors}
        for number in sorted(visitors, key=lambda number: self._last[number].when if number in self._last else -1.0):
            visitor = visitors[number]
            if visitor.camera is None:
                continue
            last = self._last.get(number)
            size = self._size_due(visitor, last, limits)
            if size is not None:
                is_refinement = last is not None and last.version == visitor.version
                self._show(number, visitor, size, can_abort=is_refinement and limits.can_abort)
                return True
        return False

    def _size_due(self, visitor: Visitor, last: LastPicture | None, limits: TimeLimits) -> tuple[int, int] | None:
        """The size of the picture that a visitor needs now; None if the last one will do."""
        window, step = visitor.camera.size, self.viewed.step()
        if last is None or last.version != visitor.version:
            return self._picture_sizer.best_within(limits.moving, window)
        if self.now() - visitor.changed < STILL_AFTER or visitor.picture == "none":
            return None
        is_old = last.step != step and self.now() - last.when > REFRESHED_AFTER
        for seconds in limits.still:
            width, height = self._picture_sizer.best_within(seconds, window)
            if is_old or width * height > MIN_GROWTH * last.pixels:
                return width, height
        return None

    def _show(self, number: int, visitor: Visitor, size: tuple[int, int], can_abort: bool) -> None:
        viewed, picture = self.viewed, None
        if visitor.picture != "none":
            self._wait_for_device()
            begun, changes = self.now(), self.mailbox.changes
            with torch.no_grad(), viewed.precision():
                args = viewed.scene, visitor.camera, visitor.picture, size, self.mailbox.box
                args += (lambda: not can_abort or self.mailbox.changes == changes,)
                picture = render_picture(viewed.model, self._background, *args, shown=viewed.shown())
            if picture is None:
                return
            self._picture_sizer.record(size, self.now() - begun)
            if self.mailbox.mesh.shown:
                picture = replace(picture, depth=picture.depth + MESH_OFFSET * viewed.model.config.radius)
        self.page.show_picture(number, picture)
        self._last[number] = LastPicture(visitor.version, size[0] * size[1], viewed.step(), self.now())

    def _mesh_is_requested(self) -> bool:
        """Whether a visitor has changed the settings or the crop box since the last mesh."""
        return self._made_of is None or self._made_of[1] != self.mailbox.mesh or self._box != self.mailbox.box

    def _update_mesh(self, limits: TimeLimits) -> bool:
        """Extracts or crops the mesh again if the model, the settings or the box have changed; False if not."""
        settings, box = self.mailbox.mesh, self.mailbox.box
        made_of = self.viewed.step() if settings.shown else NO_STEP, settings
        seconds = limits.requested_mesh if self._mesh_is_requested() else limits.mesh
        resolution = self._mesh_sizer.best_within(seconds)
        is_finer = settings.shown and resolution > self._resolution
        if not len(self.mailbox) or (made_of == self._made_of and box == self._box and not is_finer):
            return False
        only_crop = self._made_of is not None and self._made_of[1] == settings and box != self._box
        if settings.shown and not only_crop:
            self._wait_for_device()
            begun = self.now()
            self._whole, self._resolution = self._extract(settings, resolution), resolution
            self._mesh_sizer.record(resolution, self.now() - begun)
        if not only_crop:
            self._made_of = made_of
        self._crop(box)
        return True

    def _extract(self, settings: MeshSettings, resolution: int) -> Mesh | None:
        model, experiment = self.viewed.model, self.viewed.experiment
        try:
            level = level_from_slider(model, experiment, self.viewed.views, settings.level)
            mesh = coarse_mesh(model, experiment, level, resolution)
            return with_views(mesh, self.viewed.views) if settings.views else mesh
        except ReconstructionError as error:  # no surface yet, or none at this level
            log.debug("viewer: %s", error)
            return None

    def _crop(self, box: CropBox | None) -> None:
        self._box = box
        try:
            mesh = crop_to_box(self._whole, box) if self._whole is not None and self.mailbox.mesh.shown else None
        except ReconstructionError:
            mesh = None
        self.page.show_mesh(mesh)
