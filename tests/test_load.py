"""A run that is resumed several times in one process leaves no file handle, thread or model behind."""

import gc
import os
import sys
import threading
from pathlib import Path

import pytest
from sphere_scene import write_sphere_scene
from struck_runs import STEPS, go_on, run_in, start

from systems.training.reconstruction import ReconstructionSystem

CYCLES = 3  # tests/soak has hundreds of them


@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
def test_resume_cycles_leave_nothing_behind(tmp_path: Path) -> None:
    scene = write_sphere_scene(tmp_path / "scene")
    assert start(scene, tmp_path, "checkpoint.save_top_k=1") == 0
    found = []
    for cycle in range(CYCLES):
        assert go_on(tmp_path, f"trainer.max_steps={STEPS + 2 * (cycle + 1)}") == 0
        gc.collect()
        systems = sum(type(thing) is ReconstructionSystem for thing in gc.get_objects())
        found.append((len(os.listdir("/proc/self/fd")), threading.active_count(), systems))
    assert all(later == found[1] for later in found[2:]), found
    assert len(list((run_in(tmp_path) / "ckpt").iterdir())) == 1
