"""The mesh that visitors look at: made again as the model, the settings or the crop box change, and as time allows."""

import logging
from collections.abc import Callable
from dataclasses import replace

from systems.viewer.budget import MeshSizer
from systems.viewer.requests import CropBox, Mailbox, MeshSettings
from systems.viewer.surface import coarse_mesh, coloured, crop_to_box, level_from_slider, with_views
from systems.viewer.viewed import ViewedModel
from utils.errors import InputError, ReconstructionError
from utils.mesh import Mesh

log = logging.getLogger(__name__)
NO_STEP = -1


class MeshMaker:
    """Keeps `mesh` as fine and as new as there is time for; `version` grows with each new one."""

    def __init__(
        self, viewed: ViewedModel, mailbox: Mailbox, wait: Callable[[], None], now: Callable[[], float]
    ) -> None:
        """wait: for the steps that the host has launched, in time that does not count; now: seconds."""
        self._viewed, self._mailbox, self._wait, self._now = viewed, mailbox, wait, now
        self.mesh: Mesh | None = None
        self.version = 0
        self._sizer = MeshSizer()
        self._whole: Mesh | None = None  # the last mesh, before it was cropped
        self._resolution = 0  # of that mesh
        self._made_of: tuple[int, MeshSettings] | None = None  # step and settings of that mesh
        self._box: CropBox | None = None  # to which it was cropped

    def invalidate(self) -> None:
        """The model has other weights."""
        self._made_of = None

    @property
    def is_requested(self) -> bool:
        """Whether a visitor has changed the settings or the crop box since the last mesh, or looks at the first."""
        mailbox, made = self._mailbox, self._made_of
        is_other = made is None or made[1] != mailbox.mesh or self._box != mailbox.box
        return is_other or (mailbox.mesh_is_seen and made[0] == NO_STEP)

    def predicted(self, seconds: float) -> float:
        """Seconds that the finest mesh will probably take that takes about `seconds`; 0 before the first one."""
        return self._sizer.predicted(self._sizer.best_within(seconds))

    def update(self, requested_seconds: float, seconds: float) -> bool:
        """Extracts or crops the mesh again if the model, the settings or the box have changed; False if not.

        requested_seconds: that a mesh may take for which a visitor waits; seconds: that any other may take."""
        settings, box, is_seen = self._mailbox.mesh, self._mailbox.box, self._mailbox.mesh_is_seen
        made_of = self._viewed.step() if is_seen else NO_STEP, settings
        resolution = self._sizer.best_within(requested_seconds if self.is_requested else seconds)
        is_finer = is_seen and resolution > self._resolution
        if not len(self._mailbox) or (made_of == self._made_of and box == self._box and not is_finer):
            return False
        made = self._made_of
        only_crop = made is not None and made[0] != NO_STEP and made[1] == settings and box != self._box
        if is_seen and not only_crop:
            self._wait()
            self._make(settings, resolution)
        if not (is_seen and only_crop):
            self._made_of = made_of
        self._crop(box if is_seen else None)
        self._box = box
        return True

    def _make(self, settings: MeshSettings, resolution: int) -> None:
        """Takes the mesh that the run has exported, or extracts one."""
        exported = self._exported(settings)
        if exported is not None:
            self._whole, self._resolution = exported, max(resolution, self._sizer.finest)
            return
        begun = self._now()
        self._whole, self._resolution = self._extract(settings, resolution), resolution
        self._sizer.record(resolution, self._now() - begun)

    def _exported(self, settings: MeshSettings) -> Mesh | None:
        if settings.level != 0.0 or settings.coloring == "photographs":
            return None
        try:
            mesh = self._viewed.exported()
        except InputError as error:  # cannot be read
            log.warning("viewer: %s", error)
            return None
        if mesh is None or settings.coloring == "grey":
            return mesh and replace(mesh, colors=None, texture=None)
        has_colors = mesh.colors is not None or mesh.texture is not None
        return mesh if has_colors else coloured(mesh, self._viewed.model, self._viewed.shown())

    def _extract(self, settings: MeshSettings, resolution: int) -> Mesh | None:
        viewed = self._viewed
        try:
            level = level_from_slider(viewed.model, viewed.experiment, viewed.views, settings.level)
            mesh = coarse_mesh(viewed.model, viewed.experiment, level, resolution)
        except ReconstructionError as error:  # no surface yet, or none at this level
            log.debug("viewer: %s", error)
            return None
        if settings.coloring == "photographs":
            return with_views(mesh, viewed.views)
        return mesh if settings.coloring == "grey" else coloured(mesh, viewed.model, viewed.shown())

    def _crop(self, box: CropBox | None) -> None:
        try:
            whole = self._whole if self._mailbox.mesh_is_seen else None
            self.mesh = None if whole is None else crop_to_box(whole, box)
        except ReconstructionError:
            self.mesh = None
        self.version += 1
