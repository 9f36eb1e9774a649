"""A task runs in processes of its own: exit codes come back, one log holds all and has one writer."""

import sys
import threading

import pytest
from patience import PATIENCE, until

from systems.sweep.runner import ENDED, Runner

WAIT = "import time; print('here', flush=True); time.sleep(3600)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def run(runner, tmp_path, *codes, env=(), side_by_side=1):
    commands = [python(code) for code in codes]
    return runner.run(commands, str(tmp_path), str(tmp_path / "run" / "log"), side_by_side, dict(env))


def test_commands_run_one_after_the_other_until_one_fails(tmp_path):
    assert run(Runner(), tmp_path, "print('one')", "import os; print(os.getcwd())") == 0
    assert run(Runner(), tmp_path, "import sys; sys.exit('two')", "print('three')") == 1
    lines = (tmp_path / "run" / "log").read_text().splitlines()
    assert [line for line in lines if line[0] not in "$#"] == ["one", str(tmp_path), "two"]
    assert sum(line.startswith(ENDED) for line in lines) == 3
    assert sum(line.startswith(f"$ {sys.executable} -c") for line in lines) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals that end a process with a negative code")
def test_a_signal_is_a_negative_code(tmp_path):
    assert run(Runner(), tmp_path, "import os; os.kill(os.getpid(), 9)") == -9


def test_threads_share_the_cores_unless_told_otherwise(tmp_path):
    show = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['NUMBA_NUM_THREADS'])"
    assert run(Runner(), tmp_path, show, side_by_side=1000) == 0
    assert run(Runner(), tmp_path, show, env={"OMP_NUM_THREADS": "5"}, side_by_side=1000) == 0
    lines = (tmp_path / "run" / "log").read_text().splitlines()
    assert [line for line in lines if line[0] not in "$#"] == ["1 1", "5 1"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals that end a process with a negative code")
def test_stop_ends_the_process_and_starts_no_other(tmp_path):
    runner, codes = Runner(), []
    thread = threading.Thread(target=lambda: codes.append(run(runner, tmp_path, WAIT, "print('next')")))
    thread.start()
    log = tmp_path / "run" / "log"
    until(lambda: log.is_file() and "\nhere" in log.read_text())
    assert run(Runner(), tmp_path, "print('second writer')") is None
    runner.stop()
    thread.join(PATIENCE)
    assert codes == [-15]
    assert "\nnext" not in (tmp_path / "run" / "log").read_text()
    assert run(runner, tmp_path, "print('next')") == -15
    assert "second writer\n" not in (tmp_path / "run" / "log").read_text()


def test_a_task_is_no_part_of_the_processes_that_started_ray(tmp_path, monkeypatch):
    for name in ("WORLD_SIZE", "LOCAL_RANK", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("KEPT", "yes")
    assert (
        run(Runner(), tmp_path, "import os; print(sorted({'WORLD_SIZE', 'LOCAL_RANK', 'KEPT'} & {*os.environ}))") == 0
    )
    assert "\n['KEPT']\n" in (tmp_path / "run" / "log").read_text()


def test_where_it_runs_is_told(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert Runner().device(on_gpu=True).endswith(", GPU 3")
    assert Runner().device(on_gpu=False).endswith(", CPU")
