"""The page of the viewer: its controls write requests into the mailbox, and it shows what a session makes."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import trimesh
import viser

from systems.steps.step import view_background
from systems.viewer import layers
from systems.viewer.address import Address
from systems.viewer.pictures import RenderedPicture
from systems.viewer.requests import COMMANDS, PICTURE_KINDS, Command, CropBox, Mailbox, MeshSettings, parse_camera
from systems.viewer.server import guard_controls, open_server
from systems.viewer.session import ViewedModel
from systems.viewer.surface import DENSITY_FACTOR, SDF_REACH, view_colors
from utils.mesh import Mesh

log = logging.getLogger(__name__)
MESH_COLOR = (205, 200, 190)
LABELS: dict[Command, str] = {"pause": "pause", "resume": "resume", "save": "save checkpoint", "export": "export mesh"}
JPEG_QUALITY = 85


class ViserPage:
    """Only the session's thread calls it; viser's own threads only write into the mailbox."""

    def __init__(
        self,
        viewed: ViewedModel,
        mailbox: Mailbox,
        address: Address,
        steps: Sequence[int],
        live: bool,
        commands: Sequence[Command] = COMMANDS,
    ) -> None:
        """steps: all steps of the training, or those of the checkpoints that visitors can choose; live: whether the
        model is being trained; commands: the buttons on the page."""
        self.mailbox, self._radius = mailbox, viewed.model.config.radius
        self._photo_texts: dict[int, Any] = {}  # by visitor: the text that names the photograph they compare with
        self._names = viewed.scene.image_names
        self.server = open_server(address)
        self.address = Address(address.host, self.server.get_port())
        self._status = self.server.gui.add_text("state", "", disabled=True, multiline=True)
        self._step = self._add_step_slider(viewed, steps) if live else None
        if not live and len(steps) > 1:
            self._add_checkpoint_slider(steps)
        self._buttons = {command: self._add_button(command) for command in commands}
        self._message = self.server.gui.add_text("last", "", disabled=True, multiline=True)
        self.show_paused(False)
        self._add_mesh_controls(viewed.model.is_sdf)
        self._add_layers(viewed)
        self.server.on_client_connect(self._on_connect)
        self.server.on_client_disconnect(self._on_disconnect)

    def show_picture(self, visitor: int, picture: RenderedPicture | None) -> None:
        """Sets the background picture of one visitor; None removes it."""
        client = self.server.get_clients().get(visitor)
        if client is None:
            return
        if picture is None:
            client.scene.set_background_image(None)
        else:
            client.scene.set_background_image(picture.image, "jpeg", jpeg_quality=JPEG_QUALITY, depth=picture.depth)
        text = self._photo_texts.get(visitor)
        if text is not None:
            index = None if picture is None else picture.compared_with
            text.visible = index is not None
            text.value = "" if index is None else self._names[index]

    def show_mesh(self, mesh: Mesh | None) -> None:
        """Replaces the mesh for all visitors; None removes it."""
        if mesh is None:
            self.server.scene.remove_by_name("/mesh")
        elif mesh.views is None:
            self.server.scene.add_mesh_simple(
                "/mesh", mesh.vertices, mesh.faces, color=MESH_COLOR, side="double", cast_shadow=False
            )
        else:
            coloured = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=view_colors(mesh.views), process=False)
            self.server.scene.add_mesh_trimesh("/mesh", coloured, cast_shadow=False)

    def show_status(self, text: str, step: int) -> None:
        """Shows the step and a line about the training."""
        self._status.value = f"step {step}" + (f": {text}" if text else "")
        if self._step is not None:
            self._step.value = min(step, self._step.max)

    def show_paused(self, paused: bool) -> None:
        """Shows the button that pauses, or the one that resumes."""
        for command, hidden in (("pause", paused), ("resume", not paused)):
            if command in self._buttons:
                self._buttons[command].visible = not hidden

    def show_message(self, text: str) -> None:
        """Shows the result of a button."""
        self._message.value = text

    def close(self) -> None:
        """Closes the page, after the last message has had time to arrive."""
        self.server.flush()
        if len(self.mailbox):
            time.sleep(0.1)
        self.server.stop()

    def _add_step_slider(self, viewed: ViewedModel, steps: Sequence[int]) -> Any:
        """A slider that only shows the step of the training."""
        step = min(viewed.step(), steps[-1])
        return self.server.gui.add_slider("step", min=0, max=steps[-1], step=1, initial_value=step, disabled=True)

    def _add_checkpoint_slider(self, steps: Sequence[int]) -> None:
        """A slider with which visitors choose a checkpoint."""
        last = len(steps) - 1
        marks = ((0, str(steps[0])), (last, str(steps[last])))
        slider = self.server.gui.add_slider("checkpoint", min=0, max=last, step=1, initial_value=last, marks=marks)

        @slider.on_update
        async def _(event: Any) -> None:
            self.mailbox.set_shared(checkpoint=int(np.clip(slider.value, 0, last)))

    def _add_button(self, command: Command) -> Any:
        button = self.server.gui.add_button(LABELS[command])

        @button.on_click
        async def _(event: Any) -> None:
            self.mailbox.add_command(command)

        return button

    def _add_mesh_controls(self, signed: bool) -> None:
        """Adds controls for the visibility, level and crop box of the mesh; signed: whether the field is an SDF."""
        gui, r = self.server.gui, float(self._radius)
        with gui.add_folder("Mesh"):
            shown = gui.add_checkbox("mesh", False)
            views = gui.add_checkbox("views", False, hint="red: no photograph shows it; yellow: one; blue: twenty")
            # In the units of the field: scene units for a distance, powers of ten for a density.
            reach = SDF_REACH * r if signed else float(np.log10(DENSITY_FACTOR))
            name = "iso level" if signed else "iso level, log10"
            level = gui.add_slider(name, min=-reach, max=reach, step=reach / 50.0, initial_value=0.0)
            axes = [
                gui.add_multi_slider(f"crop {axis}", min=-r, max=r, step=r / 100.0, initial_value=(-r, r))
                for axis in "xyz"
            ]

        @shown.on_update
        @views.on_update
        @level.on_update
        async def _(event: Any) -> None:
            at = float(np.clip(level.value / reach, -1.0, 1.0))
            self.mailbox.set_shared(MeshSettings(at, bool(shown.value), bool(views.value)))

        async def crop(event: Any) -> None:
            ends = np.array([sorted(axis.value) for axis in axes]).clip(-r, r)
            self.mailbox.set_shared(box=CropBox(tuple(ends[:, 0].tolist()), tuple(ends[:, 1].tolist())))

        for axis in axes:
            axis.on_update(crop)
        self.mailbox.set_shared(MeshSettings(shown=False))

    def _add_layers(self, viewed: ViewedModel) -> None:
        """Adds cameras, points and region, each with a checkbox."""
        background = view_background(viewed.experiment.model, viewed.device).cpu().numpy()
        layers.set_initial_camera(self.server, viewed.scene)
        shown = {
            "cameras": layers.add_cameras(self.server, viewed.scene, background),
            "sparse points": layers.add_points(self.server, viewed.scene),
            "region": layers.add_region(self.server, self._radius, viewed.model.background is not None),
        }
        with self.server.gui.add_folder("Scene"):
            for name, handles in shown.items():
                if handles:
                    self._add_layer(name, handles)

    def _add_layer(self, name: str, handles: list[Any]) -> None:
        checkbox = self.server.gui.add_checkbox(name, handles[0].visible)

        @checkbox.on_update
        async def _(event: Any) -> None:
            for handle in handles:
                handle.visible = bool(checkbox.value)

    async def _on_connect(self, client: viser.ClientHandle) -> None:
        """Gives each visitor their own camera and choice of pictures."""
        guard_controls(client)
        self.mailbox.add_visitor(client.client_id)
        kind = client.gui.add_dropdown("picture", PICTURE_KINDS, initial_value="rgb", order=-1.0)
        text = client.gui.add_text("compared with", "", disabled=True, visible=False, order=-0.5)
        self._photo_texts[client.client_id] = text

        @kind.on_update
        async def _(event: Any) -> None:
            if kind.value in PICTURE_KINDS:
                self.mailbox.set_view(client.client_id, picture=kind.value)

        async def on_camera(handle: viser.CameraHandle) -> None:
            camera = parse_camera(handle.wxyz, handle.position, handle.fov, handle.image_width, handle.image_height)
            if camera is not None:
                self.mailbox.set_view(client.client_id, camera=camera)

        client.camera.on_update(on_camera)
        await on_camera(client.camera)

    async def _on_disconnect(self, client: viser.ClientHandle) -> None:
        self.mailbox.remove_visitor(client.client_id)
        self._photo_texts.pop(client.client_id, None)
