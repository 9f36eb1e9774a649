"""Compares the exported mesh with the true one."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from systems.runs import quickest
from utils.errors import DataError
from utils.mesh import Mesh
from utils.mesh.files import read_mesh
from utils.metrics.surface import compare_meshes

log = logging.getLogger(__name__)
TURNED = ("stl", "usdz")  # no longer in the frame of the input, and no reader can tell
_HEADLINE = ("chamfer", "chamfer_permille", "accuracy", "completeness", "fscore_0.5pct", "fscore_1pct")
_HEADLINE += ("normal_consistency", "noise_floor", "samples", "dense", "seed", "culled")


def compare_with_truth(paths: Sequence[Path], true: Mesh) -> dict[str, Any]:
    """The entry `mesh_against_gt` of metrics.json, measured on one of the mesh's files; {} if none can be read.

    The figures are those of `scripts/evaluate.py mesh` without further flags, to the last digit.

    paths: the files of the mesh, in different formats; true: the true mesh, in the same world coordinates."""
    comparable = [path for path in paths if path.suffix[1:] not in TURNED]
    if not comparable:
        log.warning("cannot compare stl or usdz with dataset.gt_mesh, since they are turned. Add ply to export.formats")
        return {}
    try:
        path = quickest(comparable)
        metrics = compare_meshes(read_mesh(path), true)
    except DataError as error:
        log.warning("cannot compare the mesh with dataset.gt_mesh: %s", error)
        return {}
    shape = {name: metrics["predicted_mesh"][name] for name in ("components", "holes", "watertight")}
    return {"mesh_against_gt": {"file": path.name} | {name: metrics[name] for name in _HEADLINE} | shape}
