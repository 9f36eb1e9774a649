"""Run folders, exp/[name]/[tag]@[timestamp]: made when a run starts, found again when one is resumed; free of torch."""

import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from utils.errors import CheckpointError
from utils.registry import PACKAGES, ROOT

MESH_SUFFIXES = (".ply", ".stl", ".glb", ".obj", ".off")  # in the order of how fast they are read
_CODE = ("launch.py", "configs", "utils", *PACKAGES)


@dataclass(frozen=True)
class RunFolder:
    """Where the results of one run lie."""

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
        """The resolved YAML, from which the run can be repeated."""
        return self.path / "config" / "parsed.yaml"

    def create(self, raw: str, parsed: dict) -> None:
        """Makes the folder with both configs and a copy of the code; what is there already stays."""
        for folder in (self.ckpt, self.save, self.parsed_config.parent):
            folder.mkdir(parents=True, exist_ok=True)
        if not self.parsed_config.exists():
            (self.path / "config" / "raw.yaml").write_text(raw, encoding="utf-8")
            self.parsed_config.write_text(OmegaConf.to_yaml(parsed), encoding="utf-8")
            for name in _CODE:
                _copy_code(ROOT / name, self.path / "code" / name)


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
    """A checkpoint file as it is, or the newest one of a run's folder. Raises CheckpointError where there is none."""
    if path.is_file():
        return path
    if not path.exists():
        raise CheckpointError(
            f"--resume {path}: no such file or folder. Give a .ckpt file or a run's folder under exp/."
        )
    found = list((path / "ckpt").glob("*.ckpt")) + list(path.glob("*.ckpt"))
    if not found:
        raise CheckpointError(f"--resume {path}: no checkpoint in it. A run's folder holds ckpt/epoch=0-step=N.ckpt.")
    return max(found, key=lambda file: (_step_of(file), file.stat().st_mtime))


def _step_of(file: Path) -> int:
    match = re.search(r"step=(\d+)|^it(\d+)", file.name)
    return int(match[1] or match[2]) if match else -1


def checkpoints_beside(checkpoint: Path) -> dict[int, Path]:
    """A checkpoint and the others of its folder, by their steps from the first to the last."""
    found = {_step_of(file): file for file in checkpoint.parent.glob("*.ckpt")} | {_step_of(checkpoint): checkpoint}
    return {step: found[step] for step in sorted(found)}


def run_of(checkpoint: Path) -> RunFolder | None:
    """The run that a checkpoint belongs to; None when it lies outside a run's folder."""
    run = RunFolder(checkpoint.resolve().parent.parent)
    return run if run.parsed_config.is_file() else None


def find_mesh(path: Path) -> Path:
    """A mesh file as it is, or the newest one of a run's folder. Raises CheckpointError where that holds none."""
    if not path.is_dir():
        return path
    found = [file for file in (path / "save").glob("it*-mc*.*") if file.suffix in MESH_SUFFIXES]
    if not found:
        raise CheckpointError(f"{path}: no mesh in it. A run's folder holds save/it<N>-mc<R>.ply; --test exports it.")
    newest = max(found, key=lambda file: (_step_of(file), file.stat().st_mtime))
    return quickest([file for file in found if file.stem == newest.stem])


def quickest(meshes: Sequence[Path]) -> Path:
    """Of files that hold the same mesh the one that is read soonest."""
    return min(meshes, key=lambda file: MESH_SUFFIXES.index(file.suffix) if file.suffix in MESH_SUFFIXES else 9)
