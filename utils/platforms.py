"""What Windows has in its own way: locks of files, cores, signals between processes, names, text that is printed.

Imports only the standard library, as Ray sends it elsewhere together with systems/sweep/runner.py."""

import os
import signal
import subprocess
import sys
from typing import IO, Any

_LOCKED = 2**31 - 2  # the byte that is locked on Windows, where nobody else may read or write a locked one
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}


def on_windows() -> bool:
    """Whether this is Windows itself; WSL is Linux."""
    return os.name == "nt"


def lock(file: IO[Any], shared: bool = False) -> bool:
    """Locks an open file until it is closed; returns False where another process has locked it.

    It stays locked while a process has it that was started with it; on Windows only as long as this process, and as if
    it were never shared. Raises OSError where the file system has no locks."""
    if not on_windows():
        import fcntl

        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
    import msvcrt

    place = os.lseek(file.fileno(), 0, os.SEEK_CUR)
    os.lseek(file.fileno(), _LOCKED, os.SEEK_SET)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    finally:
        os.lseek(file.fileno(), place, os.SEEK_SET)
    return True


def num_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def apart() -> dict[str, Any]:
    """Arguments of `subprocess.Popen` for a process that `ask_to_end` reaches, and Ctrl-C in this terminal does not."""
    if on_windows():
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def ask_to_end(process: subprocess.Popen) -> None:
    """Tells a process that was started `apart` to save and end: SIGTERM, on Windows Ctrl-Break.

    Without a console there, it ends at once."""
    if not on_windows():
        process.send_signal(signal.SIGTERM)
        return
    try:
        process.send_signal(signal.CTRL_BREAK_EVENT)
    except OSError:
        process.terminate()


def is_device(name: str) -> bool:
    """Whether Windows takes a file name for a device, whatever its suffix: nul, con.txt, COM1."""
    return name.partition(".")[0].strip().upper() in _DEVICES


def print_utf8() -> None:
    """From now on stdout and stderr are UTF-8 in files and pipes too, where Windows has an older code page."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and (stream.encoding or "").lower().replace("-", "") != "utf8":
            stream.reconfigure(encoding="utf-8")
