"""Names, once, the keys and files of a dataset that its reader does not use."""

import logging
import re
from collections.abc import Collection, Iterable
from pathlib import Path

log = logging.getLogger(__name__)
MAX_NAMED = 12
# What lies beside photographs in the folders of other programs, as patterns of its names.
NEIGHBOURS = (
    *("mask", "masks", "ignore_masks", "segmentation*", "semantic*", "depth", "depths", "depth_maps", "normal"),
    *("normals", "images_[0-9]*", "images", "image", "rgb", "sparse", "sparse_pc.ply", "dense", "stereo"),
    *("transforms*.json", "poses_bounds.npy", "cameras*.npz", "points3D.ply", "points3d.ply", "database.db"),
    *("train.txt", "test.txt", "val.txt", "train_list.txt", "test_list.txt", "pose", "poses", "intrinsics"),
    *("intrinsics.txt", "cams", "bbox.txt", "near_far.txt", "split.json", "dataset.json"),
    *("metadata.json", "scene.json", "exposure.json", "pair.txt"),
)


class Unused:
    """Tells what the readers of one dataset leave out; each text once, however many splits are loaded."""

    def __init__(self, root: Path) -> None:
        self._root, self._said = root, set()

    def keys(self, file: Path, found: Iterable[str], used: Collection[str], known: Collection[str]) -> None:
        """Names the keys of a file that are not `used`: those of its format that are `known`, and all others."""
        left = sorted({str(key) for key in found} - set(used))
        for keys, what in (
            ([key for key in left if key in known], "keys of its format that are not used"),
            ([key for key in left if key not in known], "unknown keys, which have no effect"),
        ):
            if keys:
                self._say(f"{file}: {what}: {_listed(keys)}")

    def files(self, used: Iterable[str]) -> None:
        """Names what lies in the folder as datasets have it, and is not among the names `used` of files and folders."""
        used = {name.lower() for name in used}
        near = {path.name for pattern in NEIGHBOURS for path in self._root.glob(pattern)}
        left = sorted(name for name in near if name.lower() not in used)
        if left:
            self._say(f"{self._root}: beside what is read there are, not used: {_listed(left)}")

    def _say(self, text: str) -> None:
        if text not in self._said:
            log.info("%s", text)
        self._said.add(text)


def kinds_of_keys(keys: Iterable[str]) -> set[str]:
    """Keys with `*` for their numbers: world_mat_3 -> world_mat_*."""
    return {re.sub(r"\d+", "*", key) for key in keys}


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
