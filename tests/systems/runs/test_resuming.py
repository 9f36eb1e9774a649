"""The command that goes on with a run takes what the run's folder does not know."""

import shlex
from pathlib import Path

import pytest

import launch
from systems.runs.resuming import command_to_go_on, find_start
from systems.runs import RunFolder
from utils.errors import CheckpointError

RUN = RunFolder(Path("exp/a b/t@1"))


@pytest.mark.parametrize(
    ("argv", "is_new", "expected"),
    [
        ("--config a.yaml --train tag=x seed=1", True, "--resume 'exp/a b/t@1' --train"),
        ("--config a.yaml --train --gpu 1 --runs_dir r --verbose", True,
         "--resume 'exp/a b/t@1' --train --verbose --gpu 1 --runs_dir r"),
        ("--resume old.ckpt --resume_weights_only --train --config a.yaml", True, "--resume 'exp/a b/t@1' --train"),
        ("--resume exp/c/ckpt/x.ckpt --train trainer.max_steps=9", False,
         "--resume 'exp/a b/t@1' --train trainer.max_steps=9"),
        ("--resume=exp/c --train --gpu=1 seed=2", False, "--resume 'exp/a b/t@1' --train --gpu 1 seed=2"),
        ("--config=a.yaml --train --gpu=1", True, "--resume 'exp/a b/t@1' --train --gpu 1"),
        ("--resume exp/c --test", False, "--resume 'exp/a b/t@1' --test"),
    ],
)  # fmt: skip
def test_command(argv: str, is_new: bool, expected: str) -> None:
    found = command_to_go_on(shlex.split(argv), RUN, is_new)
    assert found == f"python launch.py {expected}"
    assert launch.parse_args(shlex.split(found)[2:]).resume == RUN.path


def test_a_run_without_a_checkpoint_begins_anew_where_it_trains(tmp_path: Path) -> None:
    RunFolder(tmp_path).create("raw", {"name": "x"})
    (tmp_path / "ckpt/.epoch=0-step=5.12.ckpt").write_bytes(b"half")
    assert find_start(tmp_path, True, False).run == RunFolder(tmp_path)
    for trains, weights_only in ((False, False), (True, True)):
        with pytest.raises(CheckpointError, match="no checkpoint in it"):
            find_start(tmp_path, trains, weights_only)
