"""Runs prepare.py on sets of photographs, once each: what it made stays in a work folder, with the way to the truth."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.truth.alignment import align_with_truth
from utils.errors import DataError
from utils.files import replacing
from utils.registry import ROOT


def is_video(scene: Path) -> bool:
    """Whether a set is a video."""
    return (scene / "video.mp4").is_file()


def source_of(scene: Path) -> Path:
    """The photographs or the video of a set."""
    return scene / ("video.mp4" if is_video(scene) else "images")


def needs_preparing(scene: Path) -> bool:
    """Whether a folder holds photographs or a video without cameras that a loader reads."""
    return source_of(scene).exists() and not (scene / "sparse").is_dir() and not any(scene.glob("transforms*.json"))


def run_script(command: Sequence[str], log: Path) -> float:
    """Runs a script of the project; returns its seconds. Raises DataError with its last lines where it fails."""
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=file, stderr=file, check=False).returncode
    if code:
        raise DataError(f"{' '.join(command)} ended with {code}: {log.read_text(encoding='utf-8')[-400:]}")
    return time.perf_counter() - started


def prepare(scene: Path, out: Path, *flags: str) -> float:
    """Makes a dataset of a set in the folder `out`, its log beside it; returns the seconds. Raises DataError."""
    return run_script(["scripts/prepare.py", str(source_of(scene)), str(out), *flags], out.with_name(f"{out.name}.log"))


def prepare_with_true_masks(scene: Path, out: Path, copy: Path) -> float:
    """Copies what was prepared in `out` and puts the set's gt_mask/, undistorted, in place of its masks; the seconds.

    The cameras stay, so that only the masks differ. Raises DataError."""
    if not (scene / "gt_mask").is_dir():
        raise DataError(f"{scene}: expected a folder gt_mask/ in it for --true-masks, got none.")
    shutil.rmtree(copy, ignore_errors=True)  # of an attempt that was interrupted
    shutil.copytree(out, copy)
    return prepare(scene, copy, "--masks", str(scene / "gt_mask"))


@dataclass(frozen=True)
class Prepared:
    """A dataset that was made of a set, and the file that says so.

    The file holds `set` and `dataset`, the folders; `prepare_seconds`; and where the set has a truth the figures of the
    cameras and `transform_matrix`, into the truth's frame, for `evaluate.py mesh --pred-transform`."""

    root: Path
    record: Path

    @property
    def content(self) -> dict[str, Any]:
        """What the file holds. Raises DataError."""
        try:
            return json.loads(self.record.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.record}: cannot be read ({error}). Remove it: it will be made anew.") from error

    @property
    def similarity(self) -> np.ndarray | None:
        """(4, 4) into the frame of the truth; None for a set without true cameras."""
        found = self.content.get("transform_matrix")
        return None if found is None else np.array(found, np.float64)

    @property
    def figures(self) -> dict[str, float]:
        """Seconds of the preparation, and of the cameras how many there are and how far they are off."""
        return {name: value for name, value in self.content.items() if isinstance(value, int | float)}

    def take_up(self, scene: Path, make: Callable[[], float]) -> "Prepared":
        """Makes the dataset unless its file is there, then writes that; returns itself. Raises DataError.

        scene: the set; make: returns its seconds."""
        origin = {"set": str(scene), "dataset": str(self.root)}
        if self.record.is_file():
            found = {name: self.content.get(name) for name in origin}
            if found != origin:
                raise DataError(f"{self.record}: expected what was made of {origin}, got {found}. Give another --work.")
            return self
        content = origin | {"prepare_seconds": round(make(), 1)}
        if (scene / "gt_cameras.json").is_file():
            similarity, figures = align_with_truth(scene, self.root, is_video(scene))
            content |= figures | {"transform_matrix": similarity.tolist()}
        with replacing(self.record) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return self


def prepared_set(scene: Path, folder: Path, given: Path | None, true_masks: bool) -> Prepared:
    """The dataset of a set, made where it is not there yet. Raises DataError.

    folder: where datasets and their files are kept; given: what prepare.py made of the set elsewhere, used as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    out, name = given or folder / scene.name, scene.name
    found = Prepared(out, folder / f"{name}.json").take_up(scene, lambda: 0.0 if given else prepare(scene, out))
    if not true_masks:
        return found
    copy = Prepared(folder / f"{name}-true-masks", folder / f"{name}-true-masks.json")
    return copy.take_up(scene, lambda: prepare_with_true_masks(scene, out, copy.root))
