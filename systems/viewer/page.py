"""The page of the viewer: its controls fill the mailbox, and what a session makes is shown on it."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import viser

from systems.export.exporter import is_sdf
from systems.steps.step import view_background
from systems.viewer import layers
from systems.viewer.address import Address
from systems.viewer.pictures import Seen
from systems.viewer.server import guard_controls, open_server
from systems.viewer.session import Subject
from systems.viewer.surface import DENSITY_FACTOR, SDF_REACH
from systems.viewer.wishes import COMMANDS, PICTURES, Box, Command, Mailbox, Surface, read_sight
from utils.mesh import Mesh

log = logging.getLogger(__name__)
MESH_COLOR = (205, 200, 190)
LABELS: dict[Command, str] = {"pause": "pause", "resume": "resume", "save": "save checkpoint", "export": "export mesh"}
JPEG_QUALITY = 85


class ViserPage:
    """Called by the thread of a session; viser's own threads do nothing but fill the mailbox."""

    def __init__(
        self,
        subject: Subject,
        mailbox: Mailbox,
        address: Address,
        steps: Sequence[int],
        live: bool,
        commands: Sequence[Command] = COMMANDS,
    ) -> None:
        """steps: of the training from first to last, or of the checkpoints among which visitors choose; commands: that
        there are buttons for."""
        self.mailbox, self._radius = mailbox, subject.model.config.radius
        self._own: dict[int, Any] = {}  # for each visitor the name of the photograph that is compared with
        self._names = subject.scene.image_names
        self.server = open_server(address)
        self.address = Address(address.host, self.server.get_port())
        self._status = self.server.gui.add_text("state", "", disabled=True, multiline=True)
        self._step = self._add_steps(subject, steps, live)
        self._buttons = {command: self._add_button(command) for command in commands}
        self._said = self.server.gui.add_text("last", "", disabled=True, multiline=True)
        self.show_paused(False)
        self._add_surface(is_sdf(subject.model))
        self._add_layers(subject)
        self.server.on_client_connect(self._welcome)
        self.server.on_client_disconnect(self._farewell)

    def show_picture(self, visitor: int, seen: Seen | None) -> None:
        """Puts a picture behind what one visitor sees, or takes it away."""
        client = self.server.get_clients().get(visitor)
        if client is None:
            return
        if seen is None:
            client.scene.set_background_image(None)
        else:
            client.scene.set_background_image(seen.image, "jpeg", jpeg_quality=JPEG_QUALITY, depth=seen.depth)
        name = self._own.get(visitor)
        if name is not None:
            index = None if seen is None else seen.compared_with
            name.visible = index is not None
            name.value = "" if index is None else self._names[index]

    def show_mesh(self, mesh: Mesh | None) -> None:
        """Replaces the mesh for all visitors."""
        if mesh is None:
            self.server.scene.remove_by_name("/mesh")
        else:
            self.server.scene.add_mesh_simple(
                "/mesh", mesh.vertices, mesh.faces, color=MESH_COLOR, side="double", cast_shadow=False
            )

    def show_status(self, text: str, step: int) -> None:
        """Says how the training is going."""
        self._status.value = f"step {step}" + (f": {text}" if text else "")
        if self._step is not None:
            self._step.value = min(step, self._step.max)

    def show_paused(self, paused: bool) -> None:
        """Offers the button that changes it."""
        for command, hidden in (("pause", paused), ("resume", not paused)):
            if command in self._buttons:
                self._buttons[command].visible = not hidden

    def tell(self, text: str) -> None:
        """Says what came of a button."""
        self._said.value = text

    def close(self) -> None:
        """Ends the page, when the last word has had the time to arrive."""
        self.server.flush()
        if len(self.mailbox):
            time.sleep(0.1)
        self.server.stop()

    def _add_steps(self, subject: Subject, steps: Sequence[int], live: bool) -> Any:
        """The slider of a training, which only shows the step, or that of the checkpoints, which chooses one."""
        gui = self.server.gui
        if live:
            at = min(subject.step(), steps[-1])
            return gui.add_slider("step", min=0, max=steps[-1], step=1, initial_value=at, disabled=True)
        last = len(steps) - 1
        if last > 0:
            marks = ((0, str(steps[0])), (last, str(steps[last])))
            slider = gui.add_slider("checkpoint", min=0, max=last, step=1, initial_value=last, marks=marks)

            @slider.on_update
            async def _(event: Any) -> None:
                self.mailbox.show(checkpoint=int(np.clip(slider.value, 0, last)))

        return None

    def _add_button(self, command: Command) -> Any:
        button = self.server.gui.add_button(LABELS[command])

        @button.on_click
        async def _(event: Any) -> None:
            self.mailbox.ask(command)

        return button

    def _add_surface(self, signed: bool) -> None:
        """Level, crop box and visibility of the mesh."""
        gui, r = self.server.gui, float(self._radius)
        with gui.add_folder("Mesh"):
            shown = gui.add_checkbox("mesh", False)
            # A level in the units of the field: scene units for a distance, powers of a factor for a density.
            reach = SDF_REACH * r if signed else float(np.log10(DENSITY_FACTOR))
            name = "iso level" if signed else "iso level, log10"
            level = gui.add_slider(name, min=-reach, max=reach, step=reach / 50.0, initial_value=0.0)
            axes = [
                gui.add_multi_slider(f"crop {axis}", min=-r, max=r, step=r / 100.0, initial_value=(-r, r))
                for axis in "xyz"
            ]

        @shown.on_update
        @level.on_update
        async def _(event: Any) -> None:
            self.mailbox.show(Surface(float(np.clip(level.value / reach, -1.0, 1.0)), bool(shown.value)))

        async def crop(event: Any) -> None:
            ends = np.array([sorted(axis.value) for axis in axes]).clip(-r, r)
            self.mailbox.show(box=Box(tuple(ends[:, 0].tolist()), tuple(ends[:, 1].tolist())))

        for axis in axes:
            axis.on_update(crop)
        self.mailbox.show(Surface(shown=False))

    def _add_layers(self, subject: Subject) -> None:
        """Cameras, points and region, each with a box to tick."""
        background = view_background(subject.experiment.model, subject.device).cpu().numpy()
        layers.place_visitors(self.server, subject.scene)
        shown = {
            "cameras": layers.add_cameras(self.server, subject.scene, background),
            "sparse points": layers.add_points(self.server, subject.scene),
            "region": layers.add_region(self.server, self._radius, subject.model.background is not None),
        }
        with self.server.gui.add_folder("Scene"):
            for name, handles in shown.items():
                if handles:
                    self._add_layer(name, handles)

    def _add_layer(self, name: str, handles: list[Any]) -> None:
        box = self.server.gui.add_checkbox(name, handles[0].visible)

        @box.on_update
        async def _(event: Any) -> None:
            for handle in handles:
                handle.visible = bool(box.value)

    async def _welcome(self, client: viser.ClientHandle) -> None:
        """Gives a visitor a camera and a choice of pictures of their own."""
        guard_controls(client)
        self.mailbox.welcome(client.client_id)
        kind = client.gui.add_dropdown("picture", PICTURES, initial_value="rgb", order=-1.0)
        self._own[client.client_id] = client.gui.add_text("compared with", "", disabled=True, visible=False, order=-0.5)

        @kind.on_update
        async def _(event: Any) -> None:
            if kind.value in PICTURES:
                self.mailbox.look(client.client_id, picture=kind.value)

        async def moved(camera: viser.CameraHandle) -> None:
            seen = read_sight(camera.wxyz, camera.position, camera.fov, camera.image_width, camera.image_height)
            if seen is not None:
                self.mailbox.look(client.client_id, sight=seen)

        client.camera.on_update(moved)
        await moved(client.camera)

    async def _farewell(self, client: viser.ClientHandle) -> None:
        self.mailbox.leave(client.client_id)
        self._own.pop(client.client_id, None)
