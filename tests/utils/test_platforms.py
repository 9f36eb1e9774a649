"""Locks, moves, signals and names, here and as Windows has them."""

import errno
import io
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from utils import files, interrupts, platforms
from utils.files import flush_to_disk, remedy, replace
from utils.interrupts import Stopped


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (platforms, files):
        monkeypatch.setattr(module, "on_windows", lambda: True)


def test_a_file_has_one_writer_and_is_free_when_closed(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as first, (tmp_path / "log").open("rb") as second:
        assert platforms.lock(first)
        assert not platforms.lock(second, shared=True)
        first.close()
        assert platforms.lock(second, shared=True)


def test_on_windows_a_byte_behind_all_content_is_locked(
    windows: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def locking(handle: int, mode: int, num_bytes: int) -> None:
        asked.append((os.lseek(handle, 0, os.SEEK_CUR), mode, num_bytes))
        if len(asked) > 1:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=2))
    (tmp_path / "log").write_bytes(b"before\n")
    with (tmp_path / "log").open("ab") as file:
        assert platforms.lock(file)
        assert not platforms.lock(file)
        file.write(b"after\n")
    assert asked == [(2**31 - 2, 2, 1)] * 2
    assert (tmp_path / "log").read_bytes() == b"before\nafter\n"


def test_a_move_waits_for_whoever_has_the_file_open(
    windows: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    waited, move = [], os.replace
    held = iter([True, True, False])

    def refusing(source: Path, target: Path) -> None:
        if next(held):
            raise PermissionError(errno.EACCES, "Access is denied")
        move(source, target)

    monkeypatch.setattr(files.time, "sleep", waited.append)
    monkeypatch.setattr(files.os, "replace", refusing)
    (tmp_path / "new").write_text("new", encoding="utf-8")
    replace(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_text(encoding="utf-8") == "new"
    assert waited == [0.01, 0.04]
    monkeypatch.setattr(files.os, "replace", lambda *_: os.mkdir(tmp_path / "no" / "folder"))
    with pytest.raises(FileNotFoundError):
        replace(tmp_path / "old", tmp_path / "new")
    assert "close the program that has the file open" in remedy(PermissionError(errno.EACCES, "Access is denied"))


def test_only_files_that_may_be_written_are_flushed(
    windows: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flushed = []
    monkeypatch.setattr(files.os, "fsync", lambda handle: flushed.append(os.write(handle, b"")))
    (tmp_path / "file").write_bytes(b"content")
    flush_to_disk(tmp_path)
    flush_to_disk(tmp_path / "file")
    assert flushed == [0]
    assert (tmp_path / "file").read_bytes() == b"content"


def test_processes_are_told_to_end_by_ctrl_break(windows: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 512, raising=False)
    assert platforms.apart() == {"creationflags": 512}
    told = []
    process = types.SimpleNamespace(send_signal=told.append, terminate=lambda: told.append("terminate"))
    platforms.ask_to_end(process)
    process.send_signal = lambda _: os.mkdir("/no/such/folder")
    platforms.ask_to_end(process)
    assert told == [1, "terminate"]


def test_ctrl_break_ends_a_program_as_sigterm_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_BREAK", 21)
    assert [Stopped(signum).exit_code for signum in (21, signal.SIGTERM, signal.SIGINT)] == [143, 143, 130]


@pytest.mark.parametrize(("name", "expected"), [("nul", True), ("COM1.txt", True), ("con", True), ("console", False)])
def test_names_of_devices_are_known(name: str, expected: bool) -> None:
    assert platforms.is_device(name) == expected


def test_what_is_printed_into_a_pipe_is_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe, encoding="cp1252"))
    platforms.print_utf8()
    sys.stdout.write("42 ‰ → 16³")
    sys.stdout.flush()
    assert pipe.getvalue().decode("utf-8") == "42 ‰ → 16³"


def test_some_core_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= platforms.num_cores() <= os.cpu_count()
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert platforms.num_cores() == os.cpu_count()
