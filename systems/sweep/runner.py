"""Runs the commands of one task in subprocesses; Ray sends it elsewhere, together with utils.platforms."""

import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from utils import platforms

# Variables of torchrun and srun, which may have started Ray; a task must not take itself for one of their processes.
_LAUNCHER_VARIABLES = "SLURM_", "WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE", "LOCAL_RANK"

ENDED = "# ended after "  # begins the line of the log behind the output of a command; its seconds follow


class Runner:
    """Runs the commands of a task, one after the other; another thread may call `stop`.

    The log stays locked as long as any process writes to it, so a run never has two writers, even if the process that
    started them is gone; on Windows not in that case."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._stopped = False
        self._lock = threading.Lock()  # held while a process is started or stopped

    def device(self, on_gpu: bool) -> str:
        """The machine that this runs on, and its GPU or CPU."""
        return f"{socket.gethostname()}, {'GPU ' + os.environ.get('CUDA_VISIBLE_DEVICES', '?') if on_gpu else 'CPU'}"

    def run(
        self, commands: Sequence[Sequence[str]], folder: str, log: str, side_by_side: int, env: Mapping[str, str]
    ) -> int | None:
        """The exit code of the first command that fails, negative for a signal; 0 if none fails, None if the log is
        locked.

        folder: working directory; side_by_side: how many tasks share the cores of a machine; env: further variables,
        such as a number of threads."""
        threads = str(max(platforms.num_cores() // max(side_by_side, 1), 1))
        own = {key: value for key, value in os.environ.items() if not key.startswith(_LAUNCHER_VARIABLES)}
        full_env = {**own, "OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads, **env}
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as file:
            if not platforms.lock(file):
                return None
            for command in commands:
                with self._lock:
                    if self._stopped:
                        return -signal.SIGTERM
                    file.write(f"$ {shlex.join(command)}\n".encode())
                    file.flush()
                    started = time.monotonic()
                    self._process = subprocess.Popen(
                        command, cwd=folder, env=full_env, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                        **platforms.apart(),
                    )  # fmt: skip
                code, seconds = self._process.wait(), time.monotonic() - started
                file.write(f"{ENDED}{seconds:.1f} s\n".encode())
                file.flush()
                if code:
                    return code
        return 0

    def stop(self) -> None:
        """Tells the process to save and end, and starts no other."""
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.poll() is None:
                platforms.ask_to_end(self._process)
