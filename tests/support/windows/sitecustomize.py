"""Makes Python see much of what it would see on Windows; lies on the PYTHONPATH of a test's processes and of theirs.

Libraries are imported before, since on Windows other builds of them are used. Then fcntl, resource and functions of os
are gone, fsync refuses folders and what is open for reading, the first move onto a file fails as where a virus scanner
has it open, and text that leaves the process is cp1252."""

import contextlib
import errno
import fcntl
import importlib
import os
import pathlib
import resource
import signal
import stat
import subprocess
import sys
import types

import imageio_ffmpeg

_LIBRARIES = (
    *("PIL.Image", "numpy", "torch", "torch.utils.tensorboard", "cv2", "numba", "scipy.spatial", "omegaconf", "yaml"),
    *("pycolmap", "jinja2", "tqdm", "trimesh", "fast_simplification", "concurrent.futures.thread"),
    *("tempfile", "shutil", "asyncio", "ctypes", "ssl", "getpass", "xatlas", "multiprocessing.popen_spawn_posix"),
)
_STANDARD = os.path.dirname(os.__file__)
_GONE = {
    os: ("sched_getaffinity", "set_blocking", "getuid", "geteuid", "setsid", "killpg", "fork", "fchmod", "sysconf"),
    signal: ("SIGHUP", "SIGALRM", "SIGQUIT", "pthread_kill", "setitimer"),
}
_fsync, _replace, _open = os.fsync, os.replace, os.open
_held: set[str] = set()


def fsync(handle: int) -> None:
    """Flushes only files that may be written."""
    may_write = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    if stat.S_ISDIR(os.fstat(handle).st_mode) or not may_write:
        raise OSError(errno.EBADF, "Bad file descriptor")
    _fsync(handle)


def replace(source: os.PathLike, target: os.PathLike) -> None:
    """Fails the first time where there is a file already."""
    if os.path.isfile(target) and str(target) not in _held:
        _held.add(str(target))
        raise PermissionError(errno.EACCES, "Access is denied", str(source))
    _replace(source, target)


def open_handle(path: os.PathLike, flags: int, *args: int, **kwargs: int) -> int:
    """Opens no folders; the standard library may, which goes other ways on Windows."""
    if os.path.isdir(path) and not sys._getframe(1).f_code.co_filename.startswith(_STANDARD):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    return _open(path, flags, *args, **kwargs)


def locking(handle: int, mode: int, num_bytes: int) -> None:
    """Locks a byte that lies beyond all content; here the whole file, as far as others ask for a lock too."""
    assert (mode, num_bytes) == (2, 1)
    assert os.lseek(handle, 0, os.SEEK_CUR) > 2**30
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied") from None


class Process:
    """Of psutil."""

    def memory_info(self) -> types.SimpleNamespace:
        """What this process takes."""
        return types.SimpleNamespace(peak_wset=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def simulate() -> None:
    """From now on the process sees Windows."""
    sys.path.insert(0, os.environ["SIMULATED_ROOT"])
    for library in _LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    importlib.import_module("utils.imports").import_lightning()
    for name in [name for name in sys.modules if name.partition(".")[0] == "utils"]:
        del sys.modules[name]  # it is imported again, and then sees Windows
    sys.path.pop(0)
    os.environ["IMAGEIO_FFMPEG_EXE"] = imageio_ffmpeg.get_ffmpeg_exe()
    for module in (imageio_ffmpeg._utils, imageio_ffmpeg._io):  # what it asks of subprocess is there on Windows only
        module._popen_kwargs = lambda **_: {}
    os.fsync, os.replace, os.open = fsync, replace, open_handle
    sys.modules["fcntl"] = sys.modules["resource"] = None
    sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
    sys.modules["psutil"] = types.SimpleNamespace(Process=Process)
    for module, names in _GONE.items():
        for name in names:
            delattr(module, name)
    signal.SIGBREAK = signal.CTRL_BREAK_EVENT = signal.SIGUSR2
    subprocess.CREATE_NEW_PROCESS_GROUP = 0
    pathlib.WindowsPath = pathlib.PosixPath
    sys.platform, os.name = "win32", "nt"
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="cp1252")


simulate()
