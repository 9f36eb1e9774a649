"""A full disk costs curves, not the training that they are of."""

import errno
import logging
from pathlib import Path

import pytest

from systems.runs.loggers import Curves, Table


def no_room(*args: object, **kwargs: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_curves_go_on_in_a_new_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    curves = Curves(tmp_path, name="a", version="b")
    curves.log_metrics({"train/loss": 1.0}, 1)
    curves.save()
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING):
        for name in ("add_scalar", "flush"):
            patch.setattr(curves.experiment, name, no_room)
        curves.log_metrics({"train/loss": 2.0}, 2)
        for name in ("add_scalar", "flush"):
            patch.setattr(curves.experiment, name, no_room)
        curves.save()
    assert caplog.messages == [
        "curves for TensorBoard cannot be written (No space left on device), and the work goes on without. The disk is "
        "full, or a quota is reached: free some space."
    ]
    curves.log_metrics({"train/loss": 3.0}, 3)
    curves.finalize("success")
    assert len(list((tmp_path / "a/b").glob("events*"))) >= 2


def test_other_errors_of_curves_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    curves = Curves(tmp_path, name="a", version="b")
    with pytest.raises(ValueError, match="you tried to log"):
        curves.log_metrics({"train/loss": "text"}, 1)


def test_rows_that_could_not_be_written_come_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(tmp_path, name="csv_logs")
    table.log_metrics({"train/loss": 1.0}, 1)
    with monkeypatch.context() as patch:
        patch.setattr(table.experiment, "save", no_room)
        table.save()
    table.log_metrics({"train/loss": 2.0}, 2)
    table.save()
    rows = (tmp_path / "csv_logs/version_0/metrics.csv").read_text().splitlines()
    assert len(rows) == 3
