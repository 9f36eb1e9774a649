"""Lightning's loggers, changed so that a full disk leaves gaps in the curves but does not end a training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from utils.files import BestEffortWrites


class Table(CSVLogger):
    """The curves as CSV; rows that could not be written are written with the next rows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._spared = BestEffortWrites()

    def save(self) -> None:
        """Writes the new rows."""
        with self._spared("csv_logs"):
            super().save()


class Curves(TensorBoardLogger):
    """The curves for TensorBoard; after an error they continue in a new file."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._spared = BestEffortWrites()

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Adds figures of a step."""
        with self._going_on():
            super().log_metrics(metrics, step)

    def save(self) -> None:
        """Writes what is new."""
        with self._going_on():
            super().save()

    def finalize(self, status: str) -> None:
        """Writes what is left."""
        with self._going_on():
            super().finalize(status)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        with self._spared("curves for TensorBoard"):
            try:
                yield
            except (OSError, ValueError) as error:  # Lightning raises an OSError as a ValueError
                cause = error.__cause__ or error
                if not isinstance(cause, OSError):
                    raise
                self._experiment = None  # its writing thread has ended
                raise cause from None
