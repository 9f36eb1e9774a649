"""What visitors want to see and have done: left by the threads of the server, picked up by the one that computes."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

Picture = Literal["rgb", "normal", "depth", "error", "none"]
Command = Literal["pause", "resume", "save", "export"]
PICTURES: tuple[Picture, ...] = get_args(Picture)
COMMANDS: tuple[Command, ...] = get_args(Command)
LARGEST_WINDOW = 8192  # pixels along a side; what claims to be larger is no browser


@dataclass(frozen=True)
class Sight:
    """Where the camera of a visitor stands, and the window that it fills."""

    c2w: np.ndarray  # (3, 4) float64, camera to scene; x right, y down, z forward
    fov: float  # vertical, radians
    size: tuple[int, int]  # width, height of the window in pixels

    def intrinsics(self, size: tuple[int, int]) -> np.ndarray:
        """(4,) float32 fx, fy, cx, cy of a picture of another size (width, height) that fills the same window."""
        width, height = size
        focal = 0.5 / np.tan(0.5 * self.fov)  # in heights of the window
        across = focal * self.size[1] / self.size[0]
        return np.array([across * width, focal * height, 0.5 * width, 0.5 * height], np.float32)


def read_sight(
    wxyz: Sequence[float], position: Sequence[float], fov: float, width: float, height: float
) -> Sight | None:
    """The sight that a page claims to have: rotation to the scene as a quaternion, position in scene units, vertical
    field of view in radians, pixels. None for what no camera can have."""
    try:
        rotation, place = np.array(wxyz, np.float64).reshape(4), np.array(position, np.float64).reshape(3)
        numbers = np.array([*rotation, *place, fov, width, height], np.float64)
    except (TypeError, ValueError):
        return None
    length = np.linalg.norm(rotation)
    if not (np.isfinite(numbers).all() and np.abs(place).max() < 1e6 and length > 1e-6 and 0.01 < fov < 3.1):
        return None
    if not (1 <= width <= LARGEST_WINDOW and 1 <= height <= LARGEST_WINDOW):
        return None
    return Sight(np.hstack([_rotation(rotation / length), place[:, None]]), float(fov), (int(width), int(height)))


def _rotation(quaternion: np.ndarray) -> np.ndarray:
    """(3, 3) of a unit quaternion w, x, y, z."""
    w, x, y, z = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@dataclass(frozen=True)
class Box:
    """What is left of the scene; axis-aligned, scene units."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]


@dataclass(frozen=True)
class Surface:
    """How the mesh is made: where on the slider of the level, whether anyone looks at it."""

    level: float = 0.0  # in [-1, 1], 0 for the level that is exported
    shown: bool = True


@dataclass(frozen=True)
class Visitor:
    """What one visitor looks at; `version` grows with each change."""

    sight: Sight | None = None  # None until the page has said where its camera stands
    picture: Picture = "rgb"
    version: int = 0
    changed: float = 0.0  # when, on the clock of the mailbox


@dataclass
class Mailbox:
    """The latest wishes; each replaces the one before, so that no flood of them takes memory or time."""

    now: Callable[[], float] = time.perf_counter
    surface: Surface = field(default_factory=Surface)
    box: Box | None = None  # None for all of the region
    checkpoint: int = 0  # which one of a finished run
    changes: int = 0  # grows with everything that comes
    _visitors: dict[int, Visitor] = field(default_factory=dict)
    _commands: dict[Command, None] = field(default_factory=dict)  # in the order in which they came
    _condition: threading.Condition = field(default_factory=threading.Condition)

    def __len__(self) -> int:
        return len(self._visitors)

    def welcome(self, visitor: int) -> None:
        """Another visitor is there."""
        with self._condition:
            self._visitors[visitor] = Visitor(changed=self.now())
            self._changed()

    def leave(self, visitor: int) -> None:
        """A visitor is gone; one that never came may be."""
        with self._condition:
            self._visitors.pop(visitor, None)

    def look(self, visitor: int, sight: Sight | None = None, picture: Picture | None = None) -> None:
        """A visitor moved the camera, or wants another picture; one that left in the meantime is forgotten."""
        with self._condition:
            if (old := self._visitors.get(visitor)) is not None:
                seen, kind = sight or old.sight, picture or old.picture
                self._visitors[visitor] = Visitor(seen, kind, old.version + 1, self.now())
                self._changed()

    def show(self, surface: Surface | None = None, box: Box | None = None, checkpoint: int | None = None) -> None:
        """Something that all visitors share is another: the surface, the box that is left, the checkpoint."""
        with self._condition:
            self.surface = surface or self.surface
            self.box = box or self.box
            self.checkpoint = self.checkpoint if checkpoint is None else checkpoint
            for visitor, old in self._visitors.items():
                self._visitors[visitor] = replace(old, version=old.version + 1)
            self._changed()

    def ask(self, command: Command) -> None:
        """A button was pressed; twice before it is heard counts once."""
        with self._condition:
            self._commands[command] = None
            self._changed()

    def take_commands(self) -> list[Command]:
        """The buttons that were pressed since the last call."""
        with self._condition:
            commands = list(self._commands)
            self._commands.clear()
        return commands

    def visitors(self) -> dict[int, Visitor]:
        """Who is there, by number."""
        with self._condition:
            return dict(self._visitors)

    def wait(self, seconds: float) -> None:
        """Sleeps until something is wished for, or the seconds are over."""
        with self._condition:
            self._condition.wait(seconds)

    def _changed(self) -> None:
        self.changes += 1
        self._condition.notify_all()
