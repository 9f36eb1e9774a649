"""The protocol of the DTU MVS benchmark (Aanæs et al. 2016): a mesh against the scan of a structured-light scanner."""

from dataclasses import dataclass

import numpy as np

from utils.errors import DataError
from utils.mesh import Mesh
from utils.metrics.thinning import dense_points, thin

SPACING = 0.2  # mm between the points of the prediction
FARTHEST = 20.0  # mm: what lies farther away is an outlier, and left out


@dataclass(frozen=True)
class DTUScan:
    """The truth of one scan, in mm."""

    points: np.ndarray  # (G, 3) float64, what the scanner measured
    observed: np.ndarray  # (X, Y, Z) bool, where the scanner and the cameras could see
    box: np.ndarray  # (2, 3) float64, middles of the first and last cell of `observed`, about
    cell: float  # edge of a cell
    plane: np.ndarray  # (4,) float64, positive on the object's side of the table


def score_dtu(mesh: Mesh, scan: DTUScan, seed: int = 0) -> dict[str, float]:
    """Accuracy (mesh to scan), completeness (scan to mesh) and their mean in mm, and how many points each is of.

    The mesh becomes points 0.2 mm apart; those in the observed volume are measured, and those of the scan above the
    table; means are of the distances below 20 mm. Points of the mesh below the table or outside of the volume stay for
    the scan to be near to. Raises DataError where nothing is left."""
    from scipy.spatial import cKDTree  # a third of a second, which only an evaluation needs

    reach = scan.box + np.array([[-FARTHEST], [FARTHEST]])  # what lies beyond is too far from all that counts
    points = thin(dense_points(mesh, SPACING, reach, np.random.default_rng(seed)), SPACING)
    measured = points[_is_observed(points, scan)]
    in_box = ((scan.points >= scan.box[0]) & (scan.points <= scan.box[1])).all(axis=1)
    asked = scan.points[in_box & (scan.points @ scan.plane[:3] + scan.plane[3] > 0.0)]
    if not len(measured) or not len(asked):
        raise DataError(
            f"of the mesh {len(measured)} points lie in the observed volume, and {len(asked)} of the scan above the "
            f"table. The mesh has to be in the coordinates of DTU's calibration, in mm: those in which launch.py "
            f"exports meshes of DTU scenes."
        )
    there, back = (
        cKDTree(target, balanced_tree=False).query(source, distance_upper_bound=FARTHEST, workers=-1)[0]
        for target, source in ((scan.points, measured), (points, asked))
    )
    there, back = there[there < FARTHEST], back[back < FARTHEST]
    if not len(there) or not len(back):
        raise DataError(f"no point of the mesh lies within {FARTHEST:g} mm of the scan. Is it of another scan?")
    accuracy, completeness = float(there.mean()), float(back.mean())
    return {
        "accuracy": accuracy,
        "completeness": completeness,
        "overall": 0.5 * (accuracy + completeness),
        "accuracy_median": float(np.median(there)),
        "completeness_median": float(np.median(back)),
        "points_mesh": len(measured),
        "points_scan": len(asked),
    }


def _is_observed(points: np.ndarray, scan: DTUScan) -> np.ndarray:
    """(N,) bool: whether points (N, 3) lie in an observed cell."""
    index = np.rint((points - scan.box[0]) / scan.cell).astype(np.int64)
    inside = ((index >= 0) & (index < scan.observed.shape)).all(axis=1)
    x, y, z = np.where(inside[:, None], index, 0).T
    return inside & scan.observed[x, y, z]
