"""A number that may change with the training step, in YAML a number, [start, v0, v1, end] or [[step, value], ...]."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, ClassVar

from utils.config.schema import is_number, shown
from utils.errors import ConfigError


@dataclass(frozen=True)
class Schedule:
    """Linear between points, constant before the first and after the last; two points at one step are a jump."""

    points: tuple[tuple[int, float], ...]  # (step, value), at least one; steps do not fall
    WORDS: ClassVar[str] = "a number or a schedule"  # in messages

    @classmethod
    def from_config(cls, value: Any, where: str) -> "Schedule":
        """Reads a number, [start_step, start_value, end_value, end_step], the same without a start_step of 0, or a list
        of [step, value]. Raises ConfigError for anything else."""
        points = _read_points(value)
        steps = [step for step, _ in points]
        if not points or steps != sorted(steps) or any(step != int(step) for step in steps):
            raise ConfigError(
                f"{where}: expected a number or a schedule: [start_step, start_value, end_value, end_step], or two or "
                f"more [step, value], with whole steps that do not fall; got {shown(value)}."
            )
        return cls(tuple((int(step), float(number)) for step, number in points))

    @property
    def values(self) -> tuple[float, ...]:
        """The values at the points, between which all others lie."""
        return tuple(value for _, value in self.points)

    @property
    def is_zero(self) -> bool:
        """Whether the value is 0 at every step."""
        return not any(self.values)

    def to_config(self) -> float | list:
        """The YAML form that `from_config` reads back to an equal schedule."""
        if len(self.points) == 1:
            return self.points[0][1]
        if len(self.points) > 2:
            return [list(point) for point in self.points]
        (start_step, start_value), (end_step, end_value) = self.points
        return [start_step, start_value, end_value, end_step]

    def at(self, step: int) -> float:
        """The value at a step."""
        behind = bisect_right(self.points, step, key=lambda point: point[0])  # the first point of a later step
        if behind in (0, len(self.points)):
            return self.points[max(behind - 1, 0)][1]
        (start_step, start_value), (end_step, end_value) = self.points[behind - 1 : behind + 1]
        return start_value + (step - start_step) / (end_step - start_step) * (end_value - start_value)


def _read_points(value: Any) -> list[tuple[float, float]]:
    """The (step, value) pairs of a YAML value; none where it is no schedule."""
    if is_number(value):
        return [(0, value)]
    if not isinstance(value, list) or len(value) < 2:
        return []
    if all(isinstance(point, list) and len(point) == 2 and all(map(is_number, point)) for point in value):
        return [(step, number) for step, number in value]
    parts = [0, *value] if len(value) == 3 else value
    if len(parts) != 4 or not all(map(is_number, parts)):
        return []
    return [(parts[0], parts[1]), (parts[3], parts[2])]
