"""The command that goes on with a run takes what the run's folder does not know."""

import json
import shlex
from contextlib import nullcontext
from pathlib import Path

import pytest

import launch
from systems.runs import RunFolder
from systems.runs.resuming import command_to_go_on, find_start, refuse_finished
from systems.runs.seal import seal
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


@pytest.mark.parametrize(
    ("max_steps", "finished", "damage", "told"),
    [
        (7, 7, None, "nothing is left to train"),
        (6, 7, None, "beyond trainer.max_steps=6"),
        (8, 7, None, None),
        (7, 5, None, None),  # the pass after its last step has not ended
        (7, 7, lambda content: b"?" + content[1:], None),  # an older one may be whole
        (7, 7, lambda content: content[:-81], None),  # whether it is whole is known once it is read
    ],
)
def test_a_run_that_is_done_is_told_by_names_alone(tmp_path, max_steps, finished, damage, told) -> None:
    (run := RunFolder(tmp_path)).create("raw", {"name": "x"})
    (run.save / "metrics.json").write_text(json.dumps({"steps": finished}), encoding="utf-8")
    (checkpoint := run.ckpt / "epoch=0-step=7.ckpt").write_bytes(b"weights")
    seal(checkpoint)
    if damage is not None:
        checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    for path in (tmp_path, checkpoint):
        with nullcontext() if told is None else pytest.raises(CheckpointError, match=told):
            refuse_finished(path, max_steps)
