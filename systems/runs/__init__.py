"""Run folders, exp/[name]/[tag]@[timestamp]: made when a run starts, found when it is resumed; free of torch."""

import errno
import json
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.config.text import as_yaml
from utils.errors import CheckpointError, OutputError
from utils.files import flush_to_disk, remedy, replacing
from utils.registry import PACKAGES, ROOT
from utils.terminal.typed_paths import nearby

MESH_SUFFIXES = (".ply", ".glb", ".obj", ".off", ".stl")  # in the order of how fast they are read; our stl is turned
_MOST_TOLD = 8  # runs of a folder, in an error
_CODE = ("launch.py", "configs", "utils", *PACKAGES)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, and the files in it."""

    path: Path

    @property
    def ckpt(self) -> Path:
        """Checkpoints."""
        return self.path / "ckpt"

    @property
    def save(self) -> Path:
        """Meshes, videos, images, metrics.json."""
        return self.path / "save"

    @property
    def parsed_config(self) -> Path:
        """The resolved YAML of the newest training."""
        return self.path / "config" / "parsed.yaml"

    @property
    def merged_config(self) -> Path:
        """The YAML as it was given, with its interpolations; runs of older versions lack it."""
        return self.path / "config" / "merged.yaml"

    @property
    def applied_config(self) -> Path:
        """What the program changed in it while it trained; only where it did."""
        return self.path / "config" / "applied.yaml"

    def create(self, raw: str, parsed: dict, merged: str | None = None) -> None:
        """Makes the folder with its configs and a copy of the code; what is there already stays.

        raw: the text of the YAML files; merged: see `merged_config`, None leaves it out. The parsed config comes last:
        a folder that has it can be resumed. Raises OutputError if the folder cannot be written."""
        with written_under(self.path, "--exp_dir"):
            for folder in (self.ckpt, self.save, self.parsed_config.parent):
                folder.mkdir(parents=True, exist_ok=True)
            for left in self.ckpt.glob(".*"):  # half a checkpoint, of a process that was killed
                left.unlink()
            if not self.parsed_config.exists():
                (self.path / "config" / "raw.yaml").write_text(raw, encoding="utf-8")
                if merged is not None:
                    self.merged_config.write_text(merged, encoding="utf-8")
                for name in _CODE:
                    _copy_code(ROOT / name, self.path / "code" / name)
                with replacing(self.parsed_config) as temporary:
                    temporary.write_text(as_yaml(parsed), encoding="utf-8")
                    flush_to_disk(temporary)

    def check_room(self, num_bytes: int) -> None:
        """Raises OutputError if the disk has no room for a checkpoint of this size."""
        with written_under(self.ckpt, "--exp_dir"):
            (probe := self.ckpt / ".probe").write_bytes(b"?")
            probe.unlink()
        room = shutil.disk_usage(self.ckpt).free
        if room < num_bytes:
            raise OutputError(
                f"{self.ckpt}: a checkpoint takes about {num_bytes / 2**20:.0f} MiB, but the disk has "
                f"{room / 2**20:.0f} MiB left. Free some space, or give another folder with --exp_dir."
            )

    @property
    def finished_step(self) -> int:
        """The step of the newest test pass; -1 without one."""
        return read_figures(self.save / "metrics.json").get("steps", -1)


def read_figures(path: Path) -> dict[str, Any]:
    """The content of a metrics.json; empty if there is none, or if a power cut has left a broken file."""
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return figures if isinstance(figures, dict) else {}


@contextmanager
def written_under(folder: Path, flag: str) -> Iterator[None]:
    """Turns errors of the disk into an OutputError; flag: the one of the command line that chooses another folder."""
    try:
        yield
    except (OSError, shutil.Error) as error:
        number = error.errno if error.errno is not None else errno.EACCES  # shutil.Error has no number
        hint = remedy(OSError(number, "", error.filename))
        if hint is None:
            raise
        reason = error.strerror or "some files cannot be copied"
        raise OutputError(f"{folder}: cannot be written ({reason}). {hint} {flag} names another folder.") from error


def _copy_code(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def new_trial(tag: str) -> str:
    """[tag]@[timestamp], the name of a run's folder."""
    return f"{tag}@{time.strftime('%Y%m%d-%H%M%S')}"


def find_checkpoint(path: Path) -> Path:
    """The checkpoint at a path, or the newest one in a run's folder. Raises CheckpointError if there is none."""
    if path.is_file():
        if path.suffix not in (".ckpt", ".pt", ".pth", ""):
            run = next((folder for folder in path.parents if (folder / "config/parsed.yaml").is_file()), None)
            told = f"the run's folder, {run}" if run else "a .ckpt file or a run's folder under exp/"
            raise CheckpointError(f"{path}: is no checkpoint. Give {told}.")
        return path
    checkpoints = checkpoints_in(path)
    if not checkpoints:
        raise no_run(path, "no checkpoint in it. A run's folder holds ckpt/epoch=0-step=N.ckpt.")
    return checkpoints[0]


def no_run(path: Path, lacks: str) -> CheckpointError:
    """The error for a path that is no run: it names the runs below it, or the run around it, or the nearest name.

    lacks: what a folder without any of them lacks."""
    if not path.exists():
        hint = "Give a .ckpt file or a run's folder under exp/."
        return CheckpointError(f"{path}: no such file or folder.{nearby(path)} {hint}")
    if (path.parent / "config/parsed.yaml").is_file():
        return CheckpointError(f"{path}: is a part of a run. Give the run's folder, {path.parent}.")
    found = [file.parents[1] for depth in ("*", "*/*") for file in path.glob(f"{depth}/config/parsed.yaml")]
    newest = sorted(found, key=lambda run: (run / "config/parsed.yaml").stat().st_mtime, reverse=True)
    if not newest or RunFolder(path).parsed_config.is_file():
        return CheckpointError(f"{path}: {lacks}")
    told = [f"{run} ({_steps_told(run)})" for run in newest[:_MOST_TOLD]]
    told += [f"and {len(newest) - _MOST_TOLD} older"] if len(newest) > _MOST_TOLD else []
    runs = "a run, is" if len(newest) == 1 else f"{len(newest)} runs, is"
    return CheckpointError(f"{path}: holds {runs} none itself. Give one of them: {', '.join(told)}.")


def _steps_told(run: Path) -> str:
    checkpoints = checkpoints_in(run)
    return f"step {step_of(checkpoints[0])}" if checkpoints else "no checkpoint yet"


def checkpoints_in(path: Path) -> list[Path]:
    """The checkpoints of a run's folder, newest first, without those that were not written completely."""
    files = [*(path / "ckpt").glob("*.ckpt"), *path.glob("*.ckpt")]
    complete = [file for file in files if not file.name.startswith(".")]
    return sorted(complete, key=lambda file: (step_of(file), file.stat().st_mtime), reverse=True)


def resumed_run(path: Path) -> RunFolder | None:
    """The run that --resume names, by its folder or a checkpoint in it; None for a checkpoint outside of one.

    Raises CheckpointError if there is neither."""
    run = RunFolder(path)
    return run if run.parsed_config.is_file() else run_of(find_checkpoint(path))


def step_of(file: Path) -> int:
    """The step that the name of a checkpoint or a mesh tells; -1 for a name of another kind."""
    match = re.search(r"step=(\d+)|^it(\d+)", file.name)
    return int(match[1] or match[2]) if match else -1


def checkpoints_beside(checkpoint: Path) -> dict[int, Path]:
    """A checkpoint and the others in its folder, by their steps, in ascending order."""
    by_step = {step_of(file): file for file in [*reversed(checkpoints_in(checkpoint.parent)), checkpoint]}
    return dict(sorted(by_step.items()))


def run_of(checkpoint: Path) -> RunFolder | None:
    """The run that a checkpoint belongs to; None if it lies outside of a run's folder."""
    run = RunFolder(checkpoint.resolve().parent.parent)
    return run if run.parsed_config.is_file() else None


def trained_run(path: Path) -> tuple[Path, RunFolder]:
    """The checkpoint at a path, or the newest one in a run's folder, and that run. Raises CheckpointError."""
    checkpoint = find_checkpoint(path)
    if (run := run_of(checkpoint)) is None:
        raise CheckpointError(f"{path}: expected config/parsed.yaml beside it, found none. Give a run's folder.")
    return checkpoint, run


def find_mesh(path: Path) -> Path:
    """The mesh at a path, or the newest one in a run's folder. Raises CheckpointError if there is none."""
    if not path.is_dir():
        return path
    found = [
        file for file in (path / "save").glob("it*-mc*.*") if file.suffix in MESH_SUFFIXES and "-lod" not in file.stem
    ]
    if not found:
        raise no_run(path, "no mesh in it. A run's folder holds save/it<N>-mc<R>.ply; --test exports it.")
    newest = max(found, key=lambda file: (step_of(file), file.stat().st_mtime))
    return quickest([file for file in found if file.stem == newest.stem])


def quickest(meshes: Sequence[Path]) -> Path:
    """Of files that hold the same mesh, the one that is fastest to read."""
    return min(meshes, key=lambda file: MESH_SUFFIXES.index(file.suffix) if file.suffix in MESH_SUFFIXES else 9)
