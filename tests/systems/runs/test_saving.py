"""When checkpoints are written, and which are kept."""

import errno
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from systems.runs.saving import Saver
from systems.steps.finite import NotFiniteError
from utils.interrupts import Interrupts


class Run:
    """A training that writes empty checkpoints; each step takes a second."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.clock, self.full = 0.0, False
        settings = {"every": 1000, "minutes": 1.0, "keeps_all": True, "interrupts": Interrupts()} | options
        self.saver = Saver(folder, **settings, now=lambda: self.clock)
        self.module = nn.Linear(2, 2)
        self.module.global_step = 0
        self.trainer = SimpleNamespace(
            global_step=0, current_epoch=0, lightning_module=self.module, save_checkpoint=self.save
        )
        self.saver.on_train_start(self.trainer, self.module)

    def save(self, path: Path) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_text("", encoding="utf-8")

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.trainer.global_step += 1
            self.clock += 1.0
            self.saver.on_train_batch_end(self.trainer, self.module)


def steps_in(folder: Path) -> list[int]:
    return sorted(int(path.stem.rpartition("=")[2]) for path in folder.iterdir())


def test_of_those_by_the_clock_two_are_kept(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.train(59)
    assert steps_in(tmp_path) == []
    run.train(1)
    assert steps_in(tmp_path) == [60]
    run.train(300)
    assert steps_in(tmp_path) == [300, 360]


def test_those_by_steps_are_kept_and_start_the_clock_anew(tmp_path: Path) -> None:
    run = Run(tmp_path, every=100)
    run.train(239)
    assert steps_in(tmp_path) == [60, 100, 160, 200]
    run.train(60)
    assert steps_in(tmp_path) == [100, 160, 200, 260]
    run.saver.save_last(run.trainer)
    assert steps_in(tmp_path) == [100, 160, 200, 260, 299]
    resumed = Run(tmp_path, every=100)
    resumed.saver.load_state_dict(run.saver.state_dict())
    resumed.trainer.global_step = 300
    resumed.train(60)
    assert steps_in(tmp_path) == [100, 200, 260, 299, 360]


def test_without_a_clock_only_steps_count(tmp_path: Path) -> None:
    Run(tmp_path, minutes=0.0).train(999)
    assert steps_in(tmp_path) == []


def test_where_one_is_kept_it_is_the_newest_and_no_other_file_is_touched(tmp_path: Path) -> None:
    (tmp_path / "epoch=0-step=900.ckpt").write_text("of a later training")
    run = Run(tmp_path, every=100, keeps_all=False)
    run.train(450)
    assert steps_in(tmp_path) == [400, 900]


def test_what_could_not_be_written_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Run(tmp_path, every=100, minutes=0.0)
    run.full = True
    run.train(100)
    assert "step 100: the checkpoint cannot be written (" in caplog.text
    run.full = False
    run.train(59)
    assert steps_in(tmp_path) == []
    run.train(41)
    assert steps_in(tmp_path) == [160, 200]


def test_parameters_that_are_none_are_never_written(tmp_path: Path) -> None:
    run = Run(tmp_path, every=10)
    with torch.no_grad():
        run.module.bias[1] = torch.inf
    with pytest.raises(NotFiniteError, match="bias"):
        run.train(10)
    assert steps_in(tmp_path) == []


def test_a_checkpoint_cannot_have_other_files_removed(tmp_path: Path) -> None:
    (tmp_path / "dear").write_text("")
    run = Run(tmp_path / ".")
    run.saver.load_state_dict({"passing": ["../dear", "dear", str(tmp_path / "dear"), "epoch=0-step=1.ckpt"]})
    run.train(180)
    assert (tmp_path / "dear").exists()
    assert run.saver.state_dict()["passing"] == ["epoch=0-step=120.ckpt", "epoch=0-step=180.ckpt"]
