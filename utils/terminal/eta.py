"""Estimates how long a loop will still take, from the time that its steps have taken."""

import statistics

MAX_SEGMENTS = 5  # the time per step is the median over these
PERIOD = 32  # steps; work that recurs within a period, such as that of an occupancy grid, is in each segment alike


class EtaEstimator:
    """Time left of a loop from step `first` to step `last`, with an interruption after every `every` steps.

    The time per step is the median over the last few segments of steps, over fewer while there are few. One-off work,
    such as compiling in the first steps, therefore does not count, and a lasting change counts soon. Interruptions,
    such as validation, are counted apart. Times are in seconds, of any clock that never goes back."""

    def __init__(self, first: int, last: int, now: float, every: int | None = None) -> None:
        self.last = last
        total = last - first
        self._size = max(total // 200, min(PERIOD, total // 40), 1)  # steps of a segment, at least
        self._step, self._since = first, now  # where the segment begins
        self._paused = 0.0  # seconds of interruptions in this segment
        self._due = last // every - first // every if every else 0  # interruptions to come
        self._latest = 0.0  # seconds of the latest interruption; the next ones are expected to be like it
        self._per_step: list[float] = []  # of each segment

    def add(self, step: int, now: float) -> float | None:
        """Records the time at which a step ended; returns the seconds left after it, see `left`."""
        if step - self._step >= self._size:
            self._per_step.append((now - self._since - self._paused) / (step - self._step))
            self._step, self._since, self._paused = step, now, 0.0
        return self.left(step)

    def left(self, step: int) -> float | None:
        """Seconds left after a step, including interruptions to come; None while this is unknown."""
        if self.seconds_per_step is None:
            return None
        return (self.last - step) * self.seconds_per_step + self._due * self._latest

    def pause(self, seconds: float) -> None:
        """Records an interruption that has just ended, with its length."""
        self.wait(seconds)
        self._latest, self._due = seconds, max(self._due - 1, 0)

    def wait(self, seconds: float) -> None:
        """Records a pause that has just ended, of which no more are expected."""
        self._paused += seconds

    @property
    def seconds_per_step(self) -> float | None:
        """Seconds without interruptions; None before the end of the second segment, as the first may hold anything."""
        count = len(self._per_step)
        if count < 2:
            return None
        recent = self._per_step[-min(MAX_SEGMENTS, max(3, count // 2)) :]
        return statistics.median_low(recent)


def format_duration(seconds: float) -> str:
    """A duration for people: 42 s, 3 min 05 s, 2 h 10 min."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
