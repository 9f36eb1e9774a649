"""`python -m benchmarks` lists every command, each in one line."""

import importlib

import pytest

from benchmarks.__main__ import commands, main

NAMES = ["captures", "cards.estimate", "cards.kernels", "clock.whole", "export", "folded_sets", "memory", "mine"]
NAMES += ["ops", "photographs_with_truth", "processes", "report", "scenes.hard", "scenes.relit", "train"]


def test_every_command_is_listed_in_one_line(capsys: pytest.CaptureFixture) -> None:
    main()
    *lines, _ = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines] == [f"benchmarks.{name}" for name in NAMES]
    assert all(30 < len(line) <= 160 for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_listed_can_be_run(name: str) -> None:
    assert f"benchmarks.{name}" in commands()
    assert callable(importlib.import_module(f"benchmarks.{name}").work)
