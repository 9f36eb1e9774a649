"""The controls of one visitor's camera path: keyframes, flying along it, and a video of it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import viser
from viser.transforms import SO3

from systems.viewer.camera_path import MAX_KEYFRAMES, CameraPath
from systems.viewer.requests import PICTURE_KINDS, CameraState, Mailbox, VideoRequest

SIZES = {"1280 × 720": (1280, 720), "1920 × 1080": (1920, 1080), "720 × 1280": (720, 1280), "640 × 360": (640, 360)}
MAX_SECONDS = 60.0
PLAYED_FPS = 30
SAMPLES = 24  # of the line for each keyframe
KEY, LINE = (230, 120, 30), (230, 150, 80)
KEY_SIZE = 0.06  # of the distance to the origin


class PathControls:
    """One visitor's path. Frames are made by the session, which reads the mailbox."""

    def __init__(
        self,
        client: viser.ClientHandle,
        mailbox: Mailbox,
        camera: Callable[[], CameraState | None],
        picture: Callable[[], str],
        fps: int,
    ) -> None:
        """camera: where the visitor stands; picture: of which kind their pictures are; fps: of the video."""
        self._client, self._mailbox, self._camera, self._picture, self._fps = client, mailbox, camera, picture, fps
        self._keys: list[CameraState] = []
        self._handles: list[Any] = []  # what the scene shows of the path
        self._chosen: int | None = None  # the keyframe that was clicked
        self._flight, self._is_flying = 0, False  # the number grows whenever a flight along the path ends
        self._task: asyncio.Task | None = None  # of the flight
        self._add_keyframe_controls()
        self._add_flight_controls()
        self._add_video_controls()
        self._draw()

    def stop(self) -> None:
        """Ends the flight along the path."""
        self._flight += 1
        if self._is_flying:
            self._is_flying = False
            self._draw()

    @property
    def _path(self) -> CameraPath | None:
        """None before there are two keyframes."""
        return CameraPath(tuple(self._keys), bool(self._closed.value)) if len(self._keys) > 1 else None

    def _add_buttons(self, label: str, hint: str, acts: Mapping[str, Callable[[], None]]) -> None:
        """A row of buttons; acts: what each does, by its name. A hint is shown of rows only, not of single buttons."""
        group = self._client.gui.add_button_group(label, tuple(acts), hint=hint)

        @group.on_click
        async def _(event: Any) -> None:
            acts.get(group.value, lambda: None)()

    def _add_keyframe_controls(self) -> None:
        gui = self._client.gui
        self._told = gui.add_text("path", "", disabled=True, hint="What the path is made of.")
        hint = (
            "add: the path goes through where you stand now. remove: the keyframe that you clicked in the scene, else "
            "the last. clear: all of them."
        )
        self._add_buttons("keyframe", hint, {"add": self._add, "remove": self._remove, "clear": self._clear})
        self._closed = gui.add_checkbox(
            "closed", False, hint="The path leads from the last keyframe back to the first."
        )

        @self._closed.on_update
        async def _(event: Any) -> None:
            self._draw()

    def _add_flight_controls(self) -> None:
        gui = self._client.gui
        self._seconds = gui.add_slider(
            "seconds", min=1.0, max=MAX_SECONDS, step=0.5, initial_value=6.0, hint="How long the flight takes."
        )
        self._place = gui.add_slider(
            "along it", min=0.0, max=1.0, step=0.005, initial_value=0.0, hint="Takes you along the path by hand."
        )
        self._add_buttons("fly", "Along the path, as the video will.", {"play": self._begin, "stop": self.stop})

        @self._place.on_update
        async def _(event: Any) -> None:
            if event.client is not None:  # moved by the visitor, not by a flight
                self.stop()
                self._stand(float(self._place.value))

    def _add_video_controls(self) -> None:
        self._size = self._client.gui.add_dropdown(
            "video size", tuple(SIZES), initial_value=next(iter(SIZES)), hint="Width and height in pixels."
        )
        hint = (
            "render: an mp4 of the path, of the kind of your picture, goes into the folder save of the run. Pause a "
            "training first, frames are rendered between two of its steps. cancel: gives it up."
        )
        self._add_buttons("video", hint, {"render": self._ask, "cancel": self._cancel})

    def _add(self) -> None:
        camera = self._camera()
        if camera is not None and len(self._keys) < MAX_KEYFRAMES:
            self._keys.append(camera)
            self._changed()

    def _remove(self) -> None:
        if self._keys:
            self._keys.pop(-1 if self._chosen is None else self._chosen)
            self._changed()

    def _clear(self) -> None:
        self._keys.clear()
        self._changed()

    def _changed(self) -> None:
        self._chosen = None
        self.stop()
        self._draw()

    def _cancel(self) -> None:
        self._mailbox.add_command("cancel")

    def _ask(self) -> None:
        if (path := self._path) is None or self._picture() not in PICTURE_KINDS:
            return
        size = SIZES.get(self._size.value, next(iter(SIZES.values())))
        shares = np.linspace(0.0, 1.0, max(2, round(self._duration * self._fps)), endpoint=not path.closed)
        cameras = tuple(path.at(shares, size))
        self._mailbox.ask_for_video(VideoRequest(cameras, size, self._fps, self._picture()))

    @property
    def _duration(self) -> float:
        return float(np.clip(self._seconds.value, 1.0, MAX_SECONDS))

    def _begin(self) -> None:
        """Begins a flight; messages of the page are heard meanwhile."""
        self.stop()
        if self._path is not None:
            self._task = asyncio.get_running_loop().create_task(self._fly(self._flight))

    async def _fly(self, flight: int) -> None:
        """Moves the visitor along the path until it ends, or `stop` is called; flight: the number of this one."""
        if flight != self._flight:
            return
        loop, self._is_flying = asyncio.get_running_loop(), True
        begun = loop.time()
        self._draw()
        while flight == self._flight and (share := (loop.time() - begun) / self._duration) < 1.0:
            self._stand(share)
            self._place.value = share
            await asyncio.sleep(1.0 / PLAYED_FPS)
        if flight == self._flight:
            self._stand(1.0)
            self.stop()

    def _stand(self, share: float) -> None:
        if (path := self._path) is None or (now := self._camera()) is None:
            return
        (there,) = path.at(np.array([share]), now.size)
        with self._client.atomic():
            self._client.camera.position = there.c2w[:, 3]
            self._client.camera.wxyz = SO3.from_matrix(there.c2w[:, :3]).wxyz
            self._client.camera.fov = there.fov

    def _draw(self) -> None:
        """Shows the path in the scene, unless the visitor flies along it, and what it is made of."""
        for handle in self._handles:
            handle.remove()
        path, count, keys = self._path, len(self._keys), [] if self._is_flying else self._keys
        self._handles = [self._frustum(index, key) for index, key in enumerate(keys)]
        if path is not None and not self._is_flying:
            line = np.stack([camera.c2w[:, 3] for camera in path.at(np.linspace(0, 1, SAMPLES * count), (1, 1))])
            ends, options = np.stack([line[:-1], line[1:]], axis=1), {"thickness": 2.0, "thickness_units": "screen"}
            self._handles.append(self._client.scene.add_line_segments("/path/line", ends, LINE, **options))
        self._told.value = f"{count} keyframe{'' if count == 1 else 's'}" + ("" if path else ", two are needed")

    def _frustum(self, index: int, key: CameraState) -> Any:
        frustum = self._client.scene.add_camera_frustum(
            f"/path/{index}",
            fov=key.fov,
            aspect=16.0 / 9.0,
            thickness=1.0,
            thickness_units="screen",
            scale=KEY_SIZE * float(np.linalg.norm(key.c2w[:, 3])),
            color=KEY,
            wxyz=SO3.from_matrix(key.c2w[:, :3]).wxyz,
            position=key.c2w[:, 3],
            cast_shadow=False,
            receive_shadow=False,
        )

        @frustum.on_click
        async def _(event: Any) -> None:
            self._chosen = index
            self._told.value = f"keyframe {index + 1} of {len(self._keys)}"

        return frustum
