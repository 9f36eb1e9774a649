"""Serves visitors on the thread that owns the model: decides what to do next and in how much time, runs buttons."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch

from systems.steps.step import view_background
from systems.viewer.budget import PictureSizer, TimeBudget
from systems.viewer.meshes import MeshMaker
from systems.viewer.pictures import RenderedPicture, render_picture
from systems.viewer.requests import Command, Mailbox, VideoRequest, Visitor
from systems.viewer.viewed import ViewedModel
from systems.viewer.writing import CancelledError, export, write_path_video
from utils.errors import InputError
from utils.mesh import Mesh

log = logging.getLogger(__name__)
PICTURE_SHARE, MESH_SHARE = 0.05, 0.02  # of the training time; below a tenth together with the server's threads
MAX_BUDGET = 0.5  # seconds that either may save up
STILL_AFTER = 0.3  # seconds since the last movement, after which a camera gets finer pictures
REFRESHED_AFTER = 1.0  # seconds between two pictures for a camera that stands still
STATUS_EVERY = 0.5  # seconds
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
# A still camera ends with a picture as large as the window, however long that takes, since a new request aborts it.
WHILE_IDLE = TimeLimits(moving=0.08, still=(0.8, 8.0, math.inf), requested_mesh=0.2, mesh=1.5, can_abort=True)
BETWEEN_FRAMES = replace(WHILE_IDLE, still=(), can_abort=False)  # of a video


class Page(Protocol):
    """What visitors see. No call waits for a visitor, and none fails because a visitor has left."""

    def show_picture(self, visitor: int, picture: RenderedPicture | None) -> None: ...
    def show_mesh(self, visitor: int, mesh: Mesh | None) -> None: ...
    def show_status(self, text: str, step: int) -> None: ...
    def show_paused(self, paused: bool) -> None: ...
    def show_message(self, text: str) -> None: ...
    def show_video(self, share: float | None) -> None: ...  # how much of it is rendered; None: none is under way


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
        self.actions = {"export": lambda: export(viewed, mailbox), **actions}
        self.paused = False
        self.is_told_to_end: Callable[[], bool] = lambda: False  # then nothing long is begun, and a video is given up
        self.picture_time, self.mesh_time = TimeBudget(PICTURE_SHARE, MAX_BUDGET), TimeBudget(MESH_SHARE, MAX_BUDGET)
        self._picture_sizer, self._meshes = (
            PictureSizer(),
            MeshMaker(viewed, mailbox, lambda: self._wait_for_device(), now),
        )
        self._background = view_background(viewed.experiment.model, viewed.device)
        self._last: dict[int, LastPicture] = {}  # by visitor
        self._seen_meshes: dict[int, int] = {}  # the version that each visitor has who looks at the mesh
        self._since: float | None = None  # when the training last went on
        self._waited = 0.0  # seconds that the current piece of work waited for training steps under way
        self._status_at = -STATUS_EVERY

    def serve_between_steps(self) -> None:
        """Spends on visitors what they have earned since the last call; returns at once if there are none."""
        if not len(self.mailbox):
            self._since = None
            return
        self._run_commands()
        if not self.paused and self.mailbox.take_video() is not None:
            self.page.show_message("render video: pause the training first, or look at the run once it is over")
        begun = self.now()
        if self._since is not None:
            self._earn(begun - self._since)
        self._run_on(self.picture_time, self._update_status)
        if self.picture_time.seconds >= 0.0:
            self._run_on(self.picture_time, partial(self._update_picture, WHILE_TRAINING))
        # A visitor who moves a slider waits for the mesh; one that only follows the training waits until it is paid.
        cost = 0.0 if self._meshes.is_requested else self._meshes.predicted(WHILE_TRAINING.mesh)
        budget = self.picture_time if cost == 0.0 and self.mesh_time.seconds < 0.0 else self.mesh_time
        if budget.seconds >= cost:
            self._run_on(budget, partial(self._update_mesh, WHILE_TRAINING))
        self._run_on(self.mesh_time, self._hand_out_mesh)
        self._since = self.now()

    def serve_idle(self) -> None:
        """Does the next piece of work, or waits a moment for a request; for when no training waits."""
        self._run_commands()
        self._update_status()
        if (video := self.mailbox.take_video()) is not None:
            self._render_video(video)
        if not (self._update_picture(WHILE_IDLE) or self._update_mesh(WHILE_IDLE)):
            self.mailbox.wait(0.1)
        self._hand_out_mesh()
        self._since = None

    def pause(self, paused: bool) -> None:
        """Sets `paused`; whoever runs the training reads it and waits."""
        self.paused = paused
        self.page.show_paused(paused)

    def invalidate(self) -> None:
        """Renders and extracts everything again, because the model has other weights."""
        self._last.clear()
        self._meshes.invalidate()

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

    def _render_video(self, video: VideoRequest) -> None:
        def tell(text: str, share: float) -> None:
            self.page.show_message(text)
            self.page.show_video(share)
            self._update_picture(BETWEEN_FRAMES)  # for visitors who move

        def keep_going() -> bool:
            return not (self.mailbox.is_pressed("cancel") or self.is_told_to_end())

        try:
            told = self.viewed, video, self.mailbox.box, self._background, tell, keep_going
            message = write_path_video(*told)
        except CancelledError:
            message = "render video: cancelled, no file was written"
        except (InputError, OSError) as error:
            message = f"render video: {error}"
        log.info("viewer: %s", message)
        self.page.show_video(None)
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
        if self.now() - visitor.changed < STILL_AFTER or visitor.show == "mesh":
            return None
        is_old = last.step != step and self.now() - last.when > REFRESHED_AFTER
        for seconds in limits.still:
            width, height = self._picture_sizer.best_within(seconds, window)
            is_whole = (width, height) == window and last.pixels < width * height
            if is_old or is_whole or width * height > MIN_GROWTH * last.pixels:
                return width, height
        return None

    def _show(self, number: int, visitor: Visitor, size: tuple[int, int], can_abort: bool) -> None:
        viewed, picture = self.viewed, None
        if visitor.show != "mesh":
            self._wait_for_device()
            begun, changes = self.now(), self.mailbox.changes
            with torch.no_grad(), viewed.precision():
                args = viewed.scene, visitor.camera, visitor.picture, size, self.mailbox.box
                args += (lambda: not can_abort or self._is_undisturbed(changes),)
                picture = render_picture(viewed.model, self._background, *args, shown=viewed.shown(), dark=visitor.dark)
            if picture is None:
                return
            self._picture_sizer.record(size, self.now() - begun)
            picture = replace(picture, seconds=self.now() - begun)
            if visitor.show == "both":  # else its surface would show through the mesh in patches
                picture = picture.behind()
        self.page.show_picture(number, picture)
        self._last[number] = LastPicture(visitor.version, size[0] * size[1], viewed.step(), self.now())

    def _is_undisturbed(self, changes: int) -> bool:
        """Whether nothing was asked for since the mailbox had so many changes."""
        return self.mailbox.changes == changes and not self.is_told_to_end()

    def _update_mesh(self, limits: TimeLimits) -> bool:
        """Makes the mesh again where that is due; False if it is not."""
        return self._meshes.update(limits.requested_mesh, limits.mesh)

    def _hand_out_mesh(self) -> None:
        """Gives visitors the mesh who look at it and lack it, and takes it from those who do not."""
        wanted = {
            number: self._meshes.version for number, one in self.mailbox.visitors().items() if one.show != "picture"
        }
        outdated = [number for number, version in wanted.items() if self._seen_meshes.get(number) != version]
        for number in outdated:
            self.page.show_mesh(number, self._meshes.mesh)
        for number in self._seen_meshes.keys() - wanted.keys():
            self.page.show_mesh(number, None)
        self._seen_meshes = wanted
