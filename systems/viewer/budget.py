"""How much time visitors may cost: a share of the training time, and the picture or mesh size that fits into it."""

import math

MIN_PIXELS, MAX_PIXELS = 24 * 24, 2560 * 1440
MUCH_LARGER = 2.0  # times as many pixels
WIDTH_STEP = 8  # pixels; picture widths are multiples of it
MESH_RESOLUTIONS = (32, 48, 64, 96, 128, 192)  # lattice points along each axis
MESH_GROWTH = 2.5  # mesh time grows with this power of the resolution, between that of a surface and of a volume


class TimeBudget:
    """Time that training earns and visitors spend.

    One piece of work may spend more than there is; the debt is paid off before the next one starts. On average,
    visitors therefore take no more than their share, however long a single picture takes."""

    def __init__(self, share: float, most: float) -> None:
        """share: of the training time, in [0, 1]; most: seconds that may be saved up."""
        self.share, self.most = share, most
        self.seconds = 0.0

    def earn(self, seconds: float) -> None:
        """Adds the share of `seconds` of training."""
        self.seconds = min(self.seconds + self.share * seconds, max(self.most, self.seconds))

    def spend(self, seconds: float) -> None:
        """Takes the seconds that a piece of work took."""
        self.seconds -= seconds


class PictureSizer:
    """Chooses the size of a picture from the time that earlier pictures took.

    Where launching the work takes longest, as on a GPU, a small picture takes much longer for each pixel than a large
    one: what a much larger one took therefore replaces what was known."""

    def __init__(self) -> None:
        self._seconds_per_pixel: float | None = None
        self._pixels = 0  # of the picture that this is known of

    def record(self, size: tuple[int, int], seconds: float) -> None:
        """Learns how long a picture took. Recent pictures count most: a surface gets faster as it sharpens."""
        pixels = size[0] * size[1]
        latest, before = seconds / pixels, self._seconds_per_pixel
        if before is None or pixels > MUCH_LARGER * self._pixels:
            self._seconds_per_pixel = latest
        else:
            self._seconds_per_pixel = 0.5 * (latest + before)
        self._pixels = pixels

    def best_within(self, seconds: float, window: tuple[int, int]) -> tuple[int, int]:
        """Width and height of a picture that takes about `seconds`, in the shape of the window and not larger."""
        rate = self._seconds_per_pixel
        pixels = MIN_PIXELS if rate is None else min(max(seconds / rate, MIN_PIXELS), MAX_PIXELS)
        scale = min(1.0, math.sqrt(pixels / (window[0] * window[1])))
        if scale == 1.0:
            return window
        width = min(window[0], max(WIDTH_STEP, round(scale * window[0] / WIDTH_STEP) * WIDTH_STEP))
        return width, max(1, round(window[1] * width / window[0]))


class MeshSizer:
    """Chooses the resolution of a mesh from the time that the last mesh took."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None

    def record(self, resolution: int, seconds: float) -> None:
        """Learns how long a mesh of a resolution took."""
        self._last = resolution, seconds

    def predicted(self, resolution: int) -> float:
        """Seconds that a mesh will probably take; 0 before the first one."""
        if self._last is None:
            return 0.0
        known, seconds = self._last
        return seconds * (resolution / known) ** MESH_GROWTH

    finest = MESH_RESOLUTIONS[-1]

    def best_within(self, seconds: float) -> int:
        """The finest resolution that takes about `seconds`; the coarsest one if none does, and for the first mesh."""
        fits = [size for size in MESH_RESOLUTIONS if self._last and self.predicted(size) <= seconds]
        return fits[-1] if fits else MESH_RESOLUTIONS[0]
