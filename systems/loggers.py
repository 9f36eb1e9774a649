"""Lightning's loggers, for curves that a full disk leaves incomplete but that never end a training."""

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from utils.files import Spared


class Table(CSVLogger):
    """The curves as CSV; rows that could not be written are written with the next ones."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._spared = Spared()

    def save(self) -> None:
        """Writes the rows that have come since."""
        with self._spared("csv_logs"):
            super().save()


class Curves(TensorBoardLogger):
    """The curves for TensorBoard; after an error they go on in a new file."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._spared = Spared()

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Adds figures of a step."""
        with self._spared("curves for TensorBoard"):
            try:
                super().log_metrics(metrics, step)
            except OSError:
                self._experiment = None  # its writing thread has ended
                raise

    def finalize(self, status: str) -> None:
        """Writes what is left."""
        with self._spared("curves for TensorBoard"):
            super().finalize(status)
