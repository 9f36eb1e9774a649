"""Serves visitors on the thread that owns the model: what is due next, in how much time, and what buttons do."""

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
from systems.export.exporter import Splits, export_mesh
from systems.steps.step import view_background
from systems.viewer.budget import Credit, MeshSize, PictureSize
from systems.viewer.photos import Photographed
from systems.viewer.pictures import Seen, render_sight
from systems.viewer.surface import at_level, chosen_level, coarse_mesh, cropped
from systems.viewer.wishes import Box, Command, Mailbox, Surface, Visitor
from utils.errors import InputError, ReconstructionError
from utils.mesh import Mesh

log = logging.getLogger(__name__)
PICTURE_SHARE, MESH_SHARE = 0.05, 0.02  # of the time of training; together with the server's threads below a tenth
MAX_SAVED = 0.5  # seconds of either
STILL_AFTER = 0.3  # seconds after the last movement from which on a picture may be fine
REFRESHED_AFTER = 1.0  # seconds between two pictures of a camera that stands still
STATUS_EVERY = 0.5  # seconds
NEVER = -1  # no step
IN_FRONT = 0.05  # radii by which a mesh is drawn before the picture, whose surface would else show through in patches
GROWN = 1.3  # times the pixels that are worth another picture of the same


@dataclass(frozen=True)
class Pace:
    """Seconds that one piece of work may take, about."""

    moving: float  # a picture for a camera that moves
    still: tuple[float, ...]  # those for one that stands still, one after the other
    wished_mesh: float  # a mesh that somebody waits for, and one that may be finer
    mesh: float
    yields: bool  # whether a picture of a still camera is given up when something else comes


BESIDE_TRAINING = Pace(moving=0.03, still=(0.3,), wished_mesh=0.05, mesh=0.4, yields=False)
AT_LEISURE = Pace(moving=0.08, still=(0.8, 8.0), wished_mesh=0.2, mesh=1.5, yields=True)


class Page(Protocol):
    """Where visitors see it. No call waits for a visitor, and none fails when one is gone."""

    def show_picture(self, visitor: int, seen: Seen | None) -> None: ...
    def show_mesh(self, mesh: Mesh | None) -> None: ...
    def show_status(self, text: str, step: int) -> None: ...
    def show_paused(self, paused: bool) -> None: ...
    def tell(self, text: str) -> None: ...


@dataclass(frozen=True)
class Subject:
    """A model, and all that is asked of its surroundings."""

    model: VolumeModel
    experiment: Experiment
    scene: Photographed  # the training views
    views: Splits
    save_dir: Path
    world_from_scene: np.ndarray  # (4, 4)
    step: Callable[[], int]  # of training, behind the weights
    status: Callable[[], str]  # what is said of it
    precision: Callable[[], AbstractContextManager]  # in which views are rendered

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return self.model.occupancy.value.device


@dataclass(frozen=True)
class Shown:
    """What a visitor was shown last."""

    version: int
    pixels: int
    step: int
    when: float


class Session:
    """Answers what is in the mailbox; every call comes from the same thread, that of the model."""

    def __init__(
        self,
        subject: Subject,
        mailbox: Mailbox,
        page: Page,
        actions: Mapping[Command, Callable[[], str]],
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        """actions: what buttons other than pause, resume and export do, and say."""
        self.subject, self.mailbox, self.page, self.now = subject, mailbox, page, now
        self.actions = {"export": self.export, **actions}
        self.paused = False
        self.pictures, self.meshes = Credit(PICTURE_SHARE, MAX_SAVED), Credit(MESH_SHARE, MAX_SAVED)
        self._picture_size, self._mesh_size = PictureSize(), MeshSize()
        self._background = view_background(subject.experiment.model, subject.device)
        self._shown: dict[int, Shown] = {}
        self._whole: Mesh | None = None  # the last mesh, before it was cropped
        self._resolution = 0  # and how fine it was
        self._made_of: tuple[int, Surface] | None = None  # step and wish of that mesh
        self._box: Box | None = None  # to which it was cropped
        self._since: float | None = None  # when training went on
        self._waited = 0.0  # seconds for steps under way, during a piece of work
        self._status_at = -STATUS_EVERY

    def between_steps(self) -> None:
        """Spends on visitors what they have earned since the last call; without visitors it returns at once."""
        if not len(self.mailbox):
            self._since = None
            return
        self._obey()
        begun = self.now()
        if self._since is not None:
            self._earn(begun - self._since)
        if self.pictures.seconds >= 0.0:
            self._charged(self.pictures, self._tell_status)
            self._charged(self.pictures, partial(self._next_picture, BESIDE_TRAINING))
        # Whoever moves a slider waits for it; a mesh that only follows the training waits until it is paid for.
        cost = 0.0 if self._is_wished() else self._mesh_size.predicted(self._mesh_size.within(BESIDE_TRAINING.mesh))
        credit = self.pictures if cost == 0.0 and self.meshes.seconds < 0.0 else self.meshes
        if credit.seconds >= cost:
            self._charged(credit, partial(self._next_mesh, BESIDE_TRAINING))
        self._since = self.now()

    def at_leisure(self) -> None:
        """Does the next thing that is due, or waits a moment for one; for when no training waits."""
        self._obey()
        self._tell_status()
        if not (self._next_picture(AT_LEISURE) or self._next_mesh(AT_LEISURE)):
            self.mailbox.wait(0.1)
        self._since = None

    def pause(self, paused: bool) -> None:
        """Whether the training waits; the owner of the session looks at `paused`."""
        self.paused = paused
        self.page.show_paused(paused)

    def forget(self) -> None:
        """The model is another one: everything is shown anew."""
        self._shown.clear()
        self._made_of = None

    def export(self) -> str:
        """Writes the mesh as launch.py does, at the level and within the box of the page; says which files."""
        subject, box = self.subject, self.mailbox.box
        level = chosen_level(subject.model, subject.experiment, subject.views, self.mailbox.surface.level)
        stem = subject.save_dir / f"view-it{subject.step()}"
        made = export_mesh(
            subject.model,
            at_level(subject.experiment, level),
            stem,
            subject.world_from_scene,
            subject.views,
            shape=partial(cropped, box=box),
        )
        return f"exported {', '.join(made['files'])}: {made['faces']} faces, in {stem.parent}"

    def _obey(self) -> None:
        for command in self.mailbox.take_commands():
            if command in ("pause", "resume"):
                self.pause(command == "pause")
            elif command in self.actions:
                self._do(command)

    def _do(self, command: Command) -> None:
        self.page.tell(f"{command}: under way")
        try:
            said = self.actions[command]()
        except (InputError, OSError) as error:
            said = f"{command}: {error}"
        log.info("viewer: %s", said)
        self.page.tell(said)

    def _earn(self, seconds: float) -> None:
        self.pictures.earn(seconds)
        self.meshes.earn(seconds)

    def _charged(self, credit: Credit, work: Callable[[], object]) -> None:
        begun, self._waited = self.now(), 0.0
        work()
        credit.spend(self.now() - begun - self._waited)
        self._earn(self._waited)

    def _settle(self) -> None:
        """Waits for the steps that the host has launched: that time belongs to the training, not to a visitor."""
        begun = self.now()
        if self.subject.device.type == "cuda":
            torch.cuda.synchronize(self.subject.device)
        self._waited += self.now() - begun

    def _tell_status(self) -> None:
        if self.now() - self._status_at >= STATUS_EVERY:
            self._status_at = self.now()
            self.page.show_status(self.subject.status(), self.subject.step())

    def _next_picture(self, pace: Pace) -> bool:
        """Renders for the visitor who has waited longest among those for whom something is due; whether one was."""
        visitors = self.mailbox.visitors()
        self._shown = {number: shown for number, shown in self._shown.items() if number in visitors}
        for number in sorted(visitors, key=lambda number: self._shown[number].when if number in self._shown else -1.0):
            visitor = visitors[number]
            if visitor.sight is None:
                continue
            size = self._due(visitor, self._shown.get(number), pace)
            if size is not None:
                shown = self._shown.get(number)
                again = shown is not None and shown.version == visitor.version
                self._show(number, visitor, size, yields=again and pace.yields)
                return True
        return False

    def _due(self, visitor: Visitor, shown: Shown | None, pace: Pace) -> tuple[int, int] | None:
        """The size in which a visitor gets another picture now; None where the last one will do."""
        window, step = visitor.sight.size, self.subject.step()
        if shown is None or shown.version != visitor.version:
            return self._picture_size.within(pace.moving, window)
        if self.now() - visitor.changed < STILL_AFTER or visitor.picture == "none":
            return None
        is_old = shown.step != step and self.now() - shown.when > REFRESHED_AFTER
        for seconds in pace.still:
            width, height = self._picture_size.within(seconds, window)
            if is_old or width * height > GROWN * shown.pixels:
                return width, height
        return None

    def _show(self, number: int, visitor: Visitor, size: tuple[int, int], yields: bool) -> None:
        subject, seen = self.subject, None
        if visitor.picture != "none":
            self._settle()
            begun, changes = self.now(), self.mailbox.changes
            with torch.no_grad(), subject.precision():
                args = subject.scene, visitor.sight, visitor.picture, size, self.mailbox.box
                seen = render_sight(
                    subject.model, self._background, *args, lambda: not yields or self.mailbox.changes == changes
                )
            if seen is None:
                return
            self._picture_size.measured(size, self.now() - begun)
            if self.mailbox.surface.shown:
                seen = replace(seen, depth=seen.depth + IN_FRONT * subject.model.config.radius)
        self.page.show_picture(number, seen)
        self._shown[number] = Shown(visitor.version, size[0] * size[1], subject.step(), self.now())

    def _is_wished(self) -> bool:
        """Whether a visitor has changed how the mesh is made or cut, since it was."""
        surface, box = self.mailbox.surface, self.mailbox.box
        return self._made_of is None or self._made_of[1] != surface or self._box != box

    def _next_mesh(self, pace: Pace) -> bool:
        """Extracts or cuts the mesh anew where the model or the wishes are others; whether something was done."""
        surface, box = self.mailbox.surface, self.mailbox.box
        made_of = self.subject.step() if surface.shown else NEVER, surface
        resolution = self._mesh_size.within(pace.wished_mesh if self._is_wished() else pace.mesh)
        is_finer = surface.shown and resolution > self._resolution
        if not len(self.mailbox) or (made_of == self._made_of and box == self._box and not is_finer):
            return False
        only_cut = self._made_of is not None and self._made_of[1] == surface and box != self._box
        if surface.shown and not only_cut:
            self._settle()
            begun = self.now()
            self._whole, self._resolution = self._extract(surface, resolution), resolution
            self._mesh_size.measured(resolution, self.now() - begun)
        if not only_cut:
            self._made_of = made_of
        self._crop(box)
        return True

    def _extract(self, surface: Surface, resolution: int) -> Mesh | None:
        model, experiment = self.subject.model, self.subject.experiment
        try:
            level = chosen_level(model, experiment, self.subject.views, surface.level)
            return coarse_mesh(model, experiment, level, resolution)
        except ReconstructionError as error:  # nothing yet, or nothing at this level
            log.debug("viewer: %s", error)
            return None

    def _crop(self, box: Box | None) -> None:
        self._box = box
        try:
            shown = cropped(self._whole, box) if self._whole is not None and self.mailbox.surface.shown else None
        except ReconstructionError:
            shown = None
        self.page.show_mesh(shown)
