"""Ray runs tasks in processes of their own, tells how they ended, and leaves none behind."""

import os
import sys
from importlib.util import find_spec

import pytest
from patience import until

from systems.sweep.pool import RayPool, TaskEnded, TaskStarted
from utils.errors import InputError

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install ray"),
    pytest.mark.skipif(sys.platform != "linux", reason="sends signals and reads /proc"),
    pytest.mark.slow,
]
STUBBORN = (
    "import os, pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "pathlib.Path({path!r}).write_text(str(os.getpid())); time.sleep(3600)"
)


@pytest.fixture
def pool():
    found = RayPool(None, 0, 2)
    yield found
    found.close()


def events(pool, is_over):
    """What happens until something does."""
    found = []
    until(lambda: found.extend(pool.poll(0.5)) or is_over(found), lambda: found)
    return found


def start(pool, tmp_path, name, code):
    pool.start(name, [[sys.executable, "-c", code]], tmp_path / name / "log")


def test_tasks_start_and_end(pool, tmp_path):
    assert (pool.slots, pool.on_gpu) == (2, False)
    start(pool, tmp_path, "good", "print('said')")
    start(pool, tmp_path, "bad", "import sys; sys.exit(2)")
    (tmp_path / "file").write_text("")
    pool.start("none", [["true"]], tmp_path / "file" / "log")
    found = events(pool, lambda found: sum(isinstance(event, TaskEnded) for event in found) == 3)
    assert {event.name for event in found if isinstance(event, TaskStarted)} == {"good", "bad", "none"}
    ends = {event.name: event for event in found if isinstance(event, TaskEnded)}
    assert (ends["good"].exit_code, ends["bad"].exit_code, ends["none"].exit_code) == (0, 2, None)
    assert str(tmp_path / "file") in ends["none"].lost
    assert "\nsaid\n" in (tmp_path / "good" / "log").read_text()


def test_nothing_survives_the_end_of_the_pool(tmp_path):
    with pytest.raises(InputError, match="--gpus 99: Ray finds"):
        RayPool(None, 99, None)
    pool = RayPool(None, 0, 1)
    try:
        start(pool, tmp_path, "deaf", STUBBORN.format(path=str(tmp_path / "pid")))
        events(pool, lambda _: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text())
        pool.stop()
        assert pool.poll(1.0) == []
    finally:
        pool.close()
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not is_alive(pid), lambda: "the process lives on")


def is_alive(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
