"""Keeps what is logged as a warning, so that results can say what was wrong when they were made."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_MOST = 200  # different lines: more help nobody


class _Keeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the line of a record unless it is there."""
        line = record.getMessage()
        if line not in self.lines and len(self.lines) < _MOST:
            self.lines.append(line)


@contextmanager
def warnings_logged() -> Iterator[list[str]]:
    """A list that takes in each different line of a warning or an error that is logged while the block runs."""
    keeper = _Keeper()
    logging.getLogger().addHandler(keeper)
    try:
        yield keeper.lines
    finally:
        logging.getLogger().removeHandler(keeper)
