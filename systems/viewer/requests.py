"""What visitors ask for: the server's threads write it into a mailbox, the thread that owns the model reads it."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

PictureKind = Literal["rgb", "normal", "depth", "error"]
Show = Literal["picture", "mesh", "both"]
Coloring = Literal["colours", "grey", "photographs"]
Command = Literal["pause", "resume", "save", "export", "cancel"]
PICTURE_KINDS: tuple[PictureKind, ...] = get_args(PictureKind)
SHOWS: tuple[Show, ...] = get_args(Show)
COLORINGS: tuple[Coloring, ...] = get_args(Coloring)
COMMANDS: tuple[Command, ...] = get_args(Command)
MAX_WINDOW = 8192  # pixels along a side; no browser has a larger window


@dataclass(frozen=True)
class CameraState:
    """The pose of a visitor's camera, and the window that it fills."""

    c2w: np.ndarray  # (3, 4) float64, camera to scene; x right, y down, z forward
    fov: float  # vertical, radians
    size: tuple[int, int]  # width, height of the window in pixels

    def intrinsics(self, size: tuple[int, int]) -> np.ndarray:
        """(4,) float32 fx, fy, cx, cy of a picture of another size (width, height) that fills the same window."""
        width, height = size
        focal = 0.5 / np.tan(0.5 * self.fov)  # in heights of the window
        across = focal * self.size[1] / self.size[0]
        return np.array([across * width, focal * height, 0.5 * width, 0.5 * height], np.float32)


def parse_camera(
    wxyz: Sequence[float], position: Sequence[float], fov: float, width: float, height: float
) -> CameraState | None:
    """The camera that a page reports; None if no camera can have these values.

    wxyz: quaternion of any length, camera to scene; position: scene units; fov: vertical, radians; width, height:
    pixels."""
    try:
        quaternion, origin = np.array(wxyz, np.float64).reshape(4), np.array(position, np.float64).reshape(3)
        numbers = np.array([*quaternion, *origin, fov, width, height], np.float64)
    except (TypeError, ValueError):
        return None
    length = np.linalg.norm(quaternion)
    if not (np.isfinite(numbers).all() and np.abs(origin).max() < 1e6 and length > 1e-6 and 0.01 < fov < 3.1):
        return None
    if not (1 <= width <= MAX_WINDOW and 1 <= height <= MAX_WINDOW):
        return None
    c2w = np.hstack([_rotation_matrix(quaternion / length), origin[:, None]])
    return CameraState(c2w, float(fov), (int(width), int(height)))


def _rotation_matrix(quaternion: np.ndarray) -> np.ndarray:
    """(3, 3) rotation of a unit quaternion w, x, y, z."""
    w, x, y, z = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@dataclass(frozen=True)
class CropBox:
    """The axis-aligned box outside which nothing is shown, in scene units."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]


@dataclass(frozen=True)
class MeshSettings:
    """How the mesh is made."""

    level: float = 0.0  # position of the level slider in [-1, 1]; 0 is the level that an export uses
    coloring: Coloring = "colours"  # of the model, none, or by how many training photographs see each vertex


@dataclass(frozen=True)
class Visitor:
    """What one visitor looks at."""

    camera: CameraState | None = None  # None until the page has reported its camera
    picture: PictureKind = "rgb"
    show: Show = "picture"
    dark: bool = False  # nothing behind the object is as dark as the page
    version: int = 0  # grows with each change
    changed: float = 0.0  # time of the last change, on the clock of the mailbox


@dataclass(frozen=True)
class VideoRequest:
    """A video that a visitor wants."""

    cameras: tuple[CameraState, ...]  # of its frames
    size: tuple[int, int]  # width and height in pixels
    fps: int
    picture: PictureKind


@dataclass
class Mailbox:
    """The latest request of each kind. A new one replaces the old one, so a flood costs neither memory nor time."""

    now: Callable[[], float] = time.perf_counter
    mesh: MeshSettings = field(default_factory=MeshSettings)
    box: CropBox | None = None  # None: the whole region
    checkpoint: int = 0  # index of the checkpoint to show, in a finished run
    formats: tuple[str, ...] | None = None  # of an export; None: those of the configuration
    changes: int = 0  # grows with every request
    _visitors: dict[int, Visitor] = field(default_factory=dict)
    _commands: dict[Command, None] = field(default_factory=dict)  # in the order in which they came
    _video: VideoRequest | None = None
    _condition: threading.Condition = field(default_factory=threading.Condition)

    def __len__(self) -> int:
        return len(self._visitors)

    def add_visitor(self, visitor: int) -> None:
        """Adds a visitor by number."""
        with self._condition:
            self._visitors[visitor] = Visitor(changed=self.now())
            self._changed()

    def remove_visitor(self, visitor: int) -> None:
        """Removes a visitor; does nothing if there is none of this number."""
        with self._condition:
            self._visitors.pop(visitor, None)

    def set_view(
        self,
        visitor: int,
        camera: CameraState | None = None,
        picture: PictureKind | None = None,
        show: Show | None = None,
        dark: bool | None = None,
    ) -> None:
        """Changes a visitor's camera, kind of picture, what is shown or the page; nothing if the visitor has left."""
        with self._condition:
            if (old := self._visitors.get(visitor)) is not None:
                chosen = (
                    camera or old.camera,
                    picture or old.picture,
                    show or old.show,
                    old.dark if dark is None else dark,
                )
                self._visitors[visitor] = Visitor(*chosen, old.version + 1, self.now())
                self._changed()

    @property
    def mesh_is_seen(self) -> bool:
        """Whether any visitor looks at the mesh."""
        return any(visitor.show != "picture" for visitor in self.visitors().values())

    def set_shared(
        self, mesh: MeshSettings | None = None, box: CropBox | None = None, checkpoint: int | None = None
    ) -> None:
        """Changes what all visitors share: the mesh, the crop box, the checkpoint. None leaves a value as it is."""
        with self._condition:
            self.mesh = mesh or self.mesh
            self.box = box or self.box
            self.checkpoint = self.checkpoint if checkpoint is None else checkpoint
            for visitor, old in self._visitors.items():
                self._visitors[visitor] = replace(old, version=old.version + 1)
            self._changed()

    def choose_formats(self, formats: tuple[str, ...]) -> None:
        """Changes the formats of an export."""
        with self._condition:
            self.formats = formats

    def add_command(self, command: Command) -> None:
        """Notes that a button was pressed. Two presses before the next `take_commands` count once."""
        with self._condition:
            self._commands[command] = None
            self._changed()

    def take_commands(self) -> list[Command]:
        """The buttons that were pressed since the last call, in order."""
        with self._condition:
            commands = list(self._commands)
            self._commands.clear()
        return commands

    def is_pressed(self, command: Command) -> bool:
        """Whether a button was pressed since the last `take_commands`."""
        with self._condition:
            return command in self._commands

    def ask_for_video(self, video: VideoRequest) -> None:
        """Notes that a visitor wants a video; one that was not begun is forgotten."""
        with self._condition:
            self._video = video
            self._commands.pop("cancel", None)
            self._changed()

    def take_video(self) -> VideoRequest | None:
        """The video that was asked for since the last call, if any."""
        with self._condition:
            video, self._video = self._video, None
        return video

    def visitors(self) -> dict[int, Visitor]:
        """All visitors by number."""
        with self._condition:
            return dict(self._visitors)

    def wait(self, seconds: float) -> None:
        """Sleeps until the next request comes, at most for `seconds`."""
        with self._condition:
            self._condition.wait(seconds)

    def _changed(self) -> None:
        self.changes += 1
        self._condition.notify_all()
