"""How much is computed for visitors: a share of the time that training takes, and as many pixels as fit into it."""

import math

MIN_PIXELS, MAX_PIXELS = 24 * 24, 1280 * 960
STEP = 8  # pixels by which the width of a picture changes
MESH_RESOLUTIONS = (32, 48, 64, 96, 128, 192)  # lattice points along each axis
MESH_GROWTH = 2.5  # the power of the resolution with which the time of a mesh grows, between a surface and a volume


class Credit:
    """Time earned while training runs, and spent on visitors.

    What is spent may exceed what is there; the debt is paid off before the next. So on the average, whatever a single
    picture takes, no more than the share is spent."""

    def __init__(self, share: float, most: float) -> None:
        """share: of the time that is earned; most: seconds that may be saved up."""
        self.share, self.most = share, most
        self.seconds = 0.0

    def earn(self, seconds: float) -> None:
        """Training went on for so long."""
        self.seconds = min(self.seconds + self.share * seconds, max(self.most, self.seconds))

    def spend(self, seconds: float) -> None:
        """So much was taken from it."""
        self.seconds -= seconds


class PictureSize:
    """Chooses how large a picture is, from what those before have taken."""

    def __init__(self) -> None:
        self._seconds_per_pixel: float | None = None

    def measured(self, size: tuple[int, int], seconds: float) -> None:
        """A picture of a size took so long; the latest count most, since a surface gets faster as it sharpens."""
        found = seconds / (size[0] * size[1])
        before = self._seconds_per_pixel
        self._seconds_per_pixel = found if before is None else 0.5 * (found + before)

    def within(self, seconds: float, window: tuple[int, int]) -> tuple[int, int]:
        """Width and height of a picture that takes about so long, in the shape of the window and not larger."""
        rate = self._seconds_per_pixel
        pixels = MIN_PIXELS if rate is None else min(max(seconds / rate, MIN_PIXELS), MAX_PIXELS)
        scale = min(1.0, math.sqrt(pixels / (window[0] * window[1])))
        width = min(window[0], max(STEP, round(scale * window[0] / STEP) * STEP))
        return width, max(1, round(window[1] * width / window[0]))


class MeshSize:
    """Chooses how fine a mesh is, likewise."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None

    def measured(self, resolution: int, seconds: float) -> None:
        """A mesh of a resolution took so long."""
        self._last = resolution, seconds

    def predicted(self, resolution: int) -> float:
        """Seconds that a mesh may take; 0 as long as nothing is known."""
        if self._last is None:
            return 0.0
        known, seconds = self._last
        return seconds * (resolution / known) ** MESH_GROWTH

    def within(self, seconds: float) -> int:
        """The finest resolution that takes about so long; the coarsest where none does, and first of all."""
        fits = [size for size in MESH_RESOLUTIONS if self._last and self.predicted(size) <= seconds]
        return fits[-1] if fits else MESH_RESOLUTIONS[0]
