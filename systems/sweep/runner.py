"""Runs the commands of one task in processes of their own; imports the standard library alone, for it travels to other
machines."""

import fcntl
import os
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

# Variables of torchrun and srun, which may have started Ray: a task is no part of their processes.
_OF_PROCESSES = "SLURM_", "WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE", "LOCAL_RANK"


class Runner:
    """Runs the commands of a task, one after the other; `stop` may come from another thread.

    The log is locked for as long as any process writes to it, so that a run never has two writers, also where what
    started them is gone."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._stopped = False
        self._turn = threading.Lock()  # to start a process, or to stop it

    def place(self, on_gpu: bool) -> str:
        """The machine, and the GPU if that is asked for, that this is on."""
        return f"{socket.gethostname()}, {'GPU ' + os.environ.get('CUDA_VISIBLE_DEVICES', '?') if on_gpu else 'CPU'}"

    def run(
        self, commands: Sequence[Sequence[str]], folder: str, log: str, side_by_side: int, env: Mapping[str, str]
    ) -> int | None:
        """The exit code of the first command that fails, negative for a signal; else 0. None: the log is in use.

        folder: to run in; side_by_side: tasks that share the cores of a machine, unless `env` has a number of
        threads."""
        threads = str(max(len(os.sched_getaffinity(0)) // max(side_by_side, 1), 1))
        own = {key: value for key, value in os.environ.items() if not key.startswith(_OF_PROCESSES)}
        around = {**own, "OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads, **env}
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            for command in commands:
                with self._turn:
                    if self._stopped:
                        return -signal.SIGTERM
                    file.write(f"$ {shlex.join(command)}\n".encode())
                    file.flush()
                    self._process = subprocess.Popen(
                        command, cwd=folder, env=around, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                        start_new_session=True,
                    )  # fmt: skip
                if code := self._process.wait():
                    return code
        return 0

    def stop(self) -> None:
        """Tells the process to save and to end, and starts no other."""
        with self._turn:
            self._stopped = True
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
