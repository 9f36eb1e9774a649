"""Keys that an earlier version took and this one does not: files of old runs load, and whoever used one is told why."""

from dataclasses import dataclass
from typing import Any

from utils.errors import ConfigError


@dataclass(frozen=True)
class RetiredKey:
    """A key that left the code. Its neutral values changed nothing, so they are accepted still: old runs wrote them."""

    reason: str  # what it did and why it went, for the person whose file sets it
    neutral: tuple[Any, ...] | None = None  # None: every value, of a key that only tuned another one

    def check(self, value: Any, where: str) -> None:
        """Raises ConfigError for a value that would have changed something."""
        if self.neutral is not None and value not in self.neutral:
            raise ConfigError(f"{where}: removed: {self.reason}. Leave the key out.")
