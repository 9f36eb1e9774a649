"""What one visitor has alone on the page: their camera, picture and path."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import viser

from systems.viewer.path_controls import PathControls
from systems.viewer.pictures import RenderedPicture
from systems.viewer.requests import PICTURE_KINDS, SHOWS, CameraState, Mailbox, parse_camera
from systems.viewer.server import configure_theme
from systems.viewer.start import FOV, StartView

JPEG_QUALITY = 85


class Visit:
    """The controls of one visitor; those in threads of viser only write into the mailbox."""

    def __init__(
        self,
        client: viser.ClientHandle,
        mailbox: Mailbox,
        tabs: Mapping[str, Any],
        start: StartView,
        names: Sequence[str],
        fps: int,
    ) -> None:
        """tabs: of the page, by name; start: where to stand at first; names: of the photographs; fps: of videos."""
        self.client, self._mailbox, self._start, self._names = client, mailbox, start, names
        self._add_choices()
        with tabs["View"]:
            self._add_view_controls()
        self._has_begun = False
        client.camera.on_update(self._on_camera)
        self._begin_at_start()
        with tabs["Path"]:
            self._path = PathControls(client, mailbox, lambda: self._camera, lambda: self._kind.value, fps)

    def begin(self) -> None:
        """Asks for the first picture."""
        if self._camera is not None:
            self._mailbox.set_view(self.client.client_id, camera=self._camera)

    def show_picture(self, picture: RenderedPicture | None) -> None:
        """Sets the background picture; None removes it."""
        scene = self.client.scene
        if picture is None:
            scene.set_background_image(None)
        else:
            scene.set_background_image(picture.image, "jpeg", jpeg_quality=JPEG_QUALITY, depth=picture.depth)
        self._size.value = "none" if picture is None else picture.described
        index = None if picture is None else picture.compared_with
        self._photo.visible = index is not None
        self._photo.value = "" if index is None else self._names[index]

    def reset_view(self) -> None:
        """Goes back to where visitors stand at first."""
        camera, start = self.client.camera, self._start
        with self.client.atomic():
            camera.up_direction = start.up
            camera.position = start.position(camera.image_width / max(camera.image_height, 1))
            camera.look_at, camera.fov = start.centre, FOV

    def stop(self) -> None:
        """Ends what still moves the camera."""
        self._path.stop()

    @property
    def _camera(self) -> CameraState | None:
        """Where the visitor stands; None if no camera can."""
        camera = self.client.camera
        return parse_camera(camera.wxyz, camera.position, camera.fov, camera.image_width, camera.image_height)

    def _begin_at_start(self) -> None:
        """Steps back, once, for a narrow window. Pages stand at the start of a square one, but not from their first
        report on; those who come back stand elsewhere."""
        if not self._has_begun and np.allclose(self.client.camera.position, self._start.position(1.0), atol=1e-3):
            self._has_begun = True
            self.reset_view()

    async def _on_camera(self, handle: viser.CameraHandle) -> None:
        self._begin_at_start()
        if (camera := self._camera) is not None:
            self._mailbox.set_view(self.client.client_id, camera=camera)

    def _add_choices(self) -> None:
        gui, number = self.client.gui, self.client.client_id
        show = gui.add_dropdown(
            "show",
            SHOWS,
            initial_value="picture",
            order=-2.0,
            hint="picture: rendered from where you stand. mesh: what files hold, it turns at once. both: the mesh over "
            "the picture, which comes a moment later.",
        )
        reset = gui.add_button("reset view", order=-1.0, hint="Upright, in front of the object, as at the start.")

        @show.on_update
        async def _(event: Any) -> None:
            if show.value in SHOWS:
                self._mailbox.set_view(number, show=show.value)

        @reset.on_click
        async def _(event: Any) -> None:
            self._path.stop()
            self.reset_view()

    def _add_view_controls(self) -> None:
        gui, number = self.client.gui, self.client.client_id
        self._kind = gui.add_dropdown(
            "picture",
            PICTURE_KINDS,
            initial_value="rgb",
            order=-4.0,
            hint="rgb: colours. normal: which way the surface faces. depth: how far it is. error: difference from the "
            "nearest photograph.",
        )
        self._photo = gui.add_text(
            "compared with",
            "",
            disabled=True,
            visible=False,
            order=-3.0,
            hint="The photograph of the error.",
        )
        self._size = gui.add_text(
            "size", "", disabled=True, order=-2.0, hint="Pixels of the picture shown, and how fast it was rendered."
        )
        dark = gui.add_checkbox("dark page", False, order=-1.0, hint="Light text on a dark page, for you alone.")

        @self._kind.on_update
        async def _(event: Any) -> None:
            if self._kind.value in PICTURE_KINDS:
                self._mailbox.set_view(number, picture=self._kind.value)

        @dark.on_update
        async def _(event: Any) -> None:
            configure_theme(gui, bool(dark.value))
            self._mailbox.set_view(number, dark=bool(dark.value))
