"""A number that may change with the training step, written in YAML as a number or as [start, v0, v1, end]."""

from dataclasses import dataclass
from typing import Any

from utils.errors import ConfigError
from utils.schema import is_number


@dataclass(frozen=True)
class Schedule:
    """`start_value` up to `start_step`, then linear to `end_value` at `end_step`, constant from there."""

    start_step: int
    start_value: float
    end_value: float
    end_step: int

    @classmethod
    def from_config(cls, value: Any, where: str) -> "Schedule":
        """Reads a number or [start_step, start_value, end_value, end_step]. Raises ConfigError for anything else."""
        parts = value if isinstance(value, list) else [0, value, value, 0]
        numbers = len(parts) == 4 and all(is_number(part) for part in parts)
        if not numbers or parts[0] > parts[3] or any(step != int(step) for step in (parts[0], parts[3])):
            raise ConfigError(
                f"{where}: expected a number or a schedule [start_step, start_value, end_value, end_step] "
                f"with whole numbers start_step <= end_step, got {value!r}."
            )
        return cls(int(parts[0]), float(parts[1]), float(parts[2]), int(parts[3]))

    def to_config(self) -> float | list[float]:
        """The YAML form that `from_config` reads back to an equal schedule."""
        plain = self.start_value == self.end_value and self.start_step == self.end_step == 0
        return self.end_value if plain else [self.start_step, self.start_value, self.end_value, self.end_step]

    def at(self, step: int) -> float:
        """The value at a step."""
        if step >= self.end_step:
            return self.end_value
        if step <= self.start_step:  # also where both steps are one, a jump
            return self.start_value
        share = (step - self.start_step) / (self.end_step - self.start_step)
        return self.start_value + share * (self.end_value - self.start_value)
