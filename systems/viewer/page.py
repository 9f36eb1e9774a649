"""The page of the viewer: its controls write requests into the mailbox, and it shows what a session makes."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import trimesh
import viser

from systems.export.glb import glb_of
from systems.steps.step import view_background
from systems.viewer import layers
from systems.viewer.address import Address
from systems.viewer.pictures import RenderedPicture
from systems.viewer.requests import COLORINGS, COMMANDS, Command, CropBox, Mailbox, MeshSettings
from systems.viewer.server import TOUCH_STYLE, guard_controls, open_server
from systems.viewer.start import FOV, occupied_ball, start_view
from systems.viewer.surface import DENSITY_FACTOR, SDF_REACH
from systems.viewer.viewed import ViewedModel
from systems.viewer.visit import Visit
from utils.mesh import Mesh
from utils.registry import names

log = logging.getLogger(__name__)
MESH_COLOR = (205, 200, 190)
BUTTONS: dict[Command, tuple[str, str]] = {  # label and hint
    "pause": ("pause", "The training waits between two steps until somebody resumes it, or all have left."),
    "resume": ("resume", "The training goes on."),
    "save": ("save checkpoint", "Writes the weights of now into the folder ckpt of the run, for --resume."),
    "export": ("export mesh", "Writes the mesh at the configured resolution into the folder save of the run."),
}
FORMATS = {
    "obj": "For nearly every program; with its texture where the run makes one.",
    "ply": "With vertex colours, for MeshLab, CloudCompare and Open3D.",
    "glb": "One upright file with its colours, for web pages, Blender and phones.",
    "stl": "Shape only, upright, for printers.",
    "usdz": "Upright, for iPhones and Macs.",
}
LAYERS = {
    "cameras": "Where the photographs were taken. A click takes you there.",
    "sparse points": "Points that structure from motion has found.",
    "region": "What the model covers; nothing outside is reconstructed.",
}
HELP = "The mesh goes into the folder save of the run, at the configured resolution. No file is replaced."
STATES = "The checkpoint that is shown.", "How far the training is, how well it does, and how long it still takes."
TABS = ("View", "Mesh", "Path", "Save")
PANEL_WIDTH = 330  # pixels


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
        self._visits: dict[int, Visit] = {}  # by visitor
        self._names = viewed.scene.image_names
        self._fps = viewed.experiment.export.video_fps
        self._glb: tuple[Mesh | None, bytes] = None, b""  # the last mesh with colours, as it is sent
        self._start = start_view(viewed.scene, viewed.up, occupied_ball(viewed.model.occupancy))
        self.server = open_server(address)
        self.address = Address(address.host, self.server.get_port())
        gui = self.server.gui
        gui.main_panel.dock_right()
        gui.main_panel.set_width(PANEL_WIDTH)
        gui.add_html(TOUCH_STYLE)
        self._of_all = f" of {steps[-1]}" if live else ""
        self._status = gui.add_text("state", "", disabled=True, multiline=True, hint=STATES[live])
        if not live and len(steps) > 1:
            self._add_checkpoint_slider(steps)
        shown = [command for command in commands if command in BUTTONS]
        self._buttons = {command: self._add_button(command) for command in shown if command in ("pause", "resume")}
        self._message = gui.add_text(
            "last", "", disabled=True, multiline=True, visible=False, hint="What came of the last button."
        )
        self._progress = gui.add_progress_bar(0.0, visible=False, animated=True)
        panel = gui.add_panel()
        panel.dock_below(gui.main_panel)
        self._tabs = {name: panel.add_tab(name) for name in TABS}
        self.show_paused(False)
        self._add_mesh_controls(viewed.model.is_sdf)
        self._add_layers(viewed)
        with self._tabs["Save"]:
            gui.add_markdown(HELP)  # viser shows no hints of buttons
            self._add_formats(viewed.experiment.export.formats)
            self._buttons |= {command: self._add_button(command) for command in shown if command not in self._buttons}
        self.server.on_client_connect(self._on_connect)
        self.server.on_client_disconnect(self._on_disconnect)

    def show_picture(self, visitor: int, picture: RenderedPicture | None) -> None:
        """Sets the background picture of one visitor; None removes it."""
        if (visit := self._visits.get(visitor)) is not None:
            with self._unless_left(visitor):
                visit.show_picture(picture)

    def show_mesh(self, visitor: int, mesh: Mesh | None) -> None:
        """Replaces the mesh of one visitor; None removes it."""
        if (visit := self._visits.get(visitor)) is None:
            return
        scene = visit.client.scene
        if mesh is None:
            scene.remove_by_name("/mesh")
        elif mesh.colors is None and mesh.texture is None:
            options = {"color": MESH_COLOR, "side": "double", "cast_shadow": False}
            scene.add_mesh_simple("/mesh", mesh.vertices, mesh.faces, **options)
        elif mesh.views is not None:  # in light, since colours do not show the shape
            colors = trimesh.visual.ColorVisuals(vertex_colors=mesh.colors)
            lit = trimesh.Trimesh(mesh.vertices, mesh.faces, visual=colors, process=False)
            scene.add_mesh_trimesh("/mesh", lit, cast_shadow=False)
        else:
            if self._glb[0] is not mesh:
                self._glb = mesh, glb_of(mesh)
            scene.add_glb("/mesh", self._glb[1], cast_shadow=False, receive_shadow=False)

    def show_status(self, text: str, step: int) -> None:
        """Shows the step and lines about the training."""
        self._status.value = f"step {step}{self._of_all}" + (f"\n{text}" if text else "")

    def show_paused(self, paused: bool) -> None:
        """Shows the button that pauses, or the one that resumes."""
        for command, hidden in (("pause", paused), ("resume", not paused)):
            if command in self._buttons:
                self._buttons[command].visible = not hidden

    def show_message(self, text: str) -> None:
        """Shows the result of a button."""
        self._message.value, self._message.visible = text, True

    def show_video(self, share: float | None) -> None:
        """Shows how much of a video is rendered, in [0, 1]; None: none is under way."""
        self._progress.visible = share is not None
        self._progress.value = 100.0 * (share or 0.0)

    def close(self) -> None:
        """Closes the page, after the last message has had time to arrive."""
        for visit in self._visits.values():
            visit.stop()
        self.server.flush()
        if len(self.mailbox):
            time.sleep(0.1)
        self.server.stop()

    @contextmanager
    def _unless_left(self, visitor: int) -> Iterator[None]:
        """Whoever is just leaving has no controls any more: viser raises what is none of the session's business."""
        try:
            yield
        except RuntimeError:
            if visitor in self.server.get_clients():
                raise

    def _add_checkpoint_slider(self, steps: Sequence[int]) -> None:
        """A slider with which visitors choose a checkpoint."""
        last = len(steps) - 1
        options = {"min": 0, "max": last, "step": 1, "initial_value": last}
        marks = ((0, str(steps[0])), (last, str(steps[last])))
        slider = self.server.gui.add_slider("checkpoint", **options, marks=marks, hint="Shows an earlier state.")

        @slider.on_update
        async def _(event: Any) -> None:
            self.mailbox.set_shared(checkpoint=int(np.clip(slider.value, 0, last)))

    def _add_button(self, command: Command) -> Any:
        label, hint = BUTTONS[command]
        order = -0.5 if command in ("pause", "resume") else None  # beside "reset view" of `Visit` on a phone
        button = self.server.gui.add_button(label, hint=hint, order=order)

        @button.on_click
        async def _(event: Any) -> None:
            self.mailbox.add_command(command)

        return button

    def _add_formats(self, chosen: Sequence[str]) -> None:
        """A box for each format that an export can have; chosen: those of the configuration."""
        known = [name for name in names("exporter") if name != "usdz" or find_spec("pxr") is not None]
        boxes = {
            name: self.server.gui.add_checkbox(name, name in chosen, hint=FORMATS.get(name, "Another format."))
            for name in known
        }

        def choose() -> None:
            self.mailbox.choose_formats(tuple(name for name, box in boxes.items() if box.value))

        async def changed(event: Any) -> None:
            choose()

        for box in boxes.values():
            box.on_update(changed)
        choose()

    def _add_mesh_controls(self, signed: bool) -> None:
        """Adds controls for the colours, level and crop box of the mesh; signed: whether the field is an SDF."""
        gui, r = self.server.gui, float(self._radius)
        with self._tabs["Mesh"]:
            colors = gui.add_dropdown(
                "coloured by",
                COLORINGS,
                initial_value="colours",
                hint="colours: as in files. photographs: how many show it, red none, yellow one, blue twenty.",
            )
            # In the units of the field: scene units for a distance, powers of ten for a density.
            reach = SDF_REACH * r if signed else float(np.log10(DENSITY_FACTOR))
            name = "iso level" if signed else "iso level, log10"
            hint = "Moves the surface outward or inward; 0 is that of an export."
            level = gui.add_slider(name, min=-reach, max=reach, step=reach / 50.0, initial_value=0.0, hint=hint)
            sizes, hint = {"min": -r, "max": r, "step": r / 100.0}, "Only what lies between is shown and exported."
            axes = [gui.add_multi_slider(f"crop {axis}", **sizes, initial_value=(-r, r), hint=hint) for axis in "xyz"]

        @colors.on_update
        @level.on_update
        async def _(event: Any) -> None:
            if colors.value in COLORINGS:
                at = float(np.clip(level.value / reach, -1.0, 1.0))
                self.mailbox.set_shared(MeshSettings(at, colors.value))

        async def crop(event: Any) -> None:
            ends = np.array([sorted(axis.value) for axis in axes]).clip(-r, r)
            self.mailbox.set_shared(box=CropBox(tuple(ends[:, 0].tolist()), tuple(ends[:, 1].tolist())))

        for axis in axes:
            axis.on_update(crop)

    def _add_layers(self, viewed: ViewedModel) -> None:
        """Adds cameras, points and region, each with a checkbox."""
        background = view_background(viewed.experiment.model, viewed.device).cpu().numpy()
        start, first = self._start, self.server.initial_camera
        self.server.scene.set_up_direction(start.up)
        first.up, first.position, first.look_at, first.fov = start.up, start.position(1.0), start.centre, FOV
        shown = {
            "cameras": layers.add_cameras(self.server, viewed.scene, background),
            "sparse points": layers.add_points(self.server, viewed.scene),
            "region": layers.add_region(self.server, self._radius, viewed.model.background is not None),
        }
        with self._tabs["View"]:
            for name, handles in shown.items():
                if handles:
                    self._add_layer(name, handles)

    def _add_layer(self, name: str, handles: list[Any]) -> None:
        checkbox = self.server.gui.add_checkbox(name, handles[0].visible, hint=LAYERS[name])

        @checkbox.on_update
        async def _(event: Any) -> None:
            for handle in handles:
                handle.visible = bool(checkbox.value)

    async def _on_connect(self, client: viser.ClientHandle) -> None:
        """Gives each visitor their own camera, path and choice of pictures."""
        guard_controls(client)
        self.mailbox.add_visitor(client.client_id)
        visit = Visit(client, self.mailbox, self._tabs, self._start, self._names, self._fps)
        self._visits[client.client_id] = visit
        visit.begin()

    async def _on_disconnect(self, client: viser.ClientHandle) -> None:
        self.mailbox.remove_visitor(client.client_id)
        if (visit := self._visits.pop(client.client_id, None)) is not None:
            visit.stop()
