"""Compares a mesh with the true one: distances both ways, F-scores, normals, and what cameras could have seen of it."""

from dataclasses import asdict
from typing import Any

import numpy as np

from utils.errors import DataError
from utils.mesh import Mesh
from utils.mesh.measures import area_vectors
from utils.mesh.topology import topology
from utils.mesh.visibility import in_views, seen
from utils.metrics.comparison import SHARES, Comparison
from utils.metrics.sampling import SurfacePoints, sample_surface

_SURFACE = 5e-4  # of the diagonal: points so close behind a face lie on it
_NOISE_SAMPLES = 50_000


def compare_meshes(predicted: Mesh, true: Mesh, how: Comparison | None = None) -> dict[str, Any]:
    """The figures of a mesh against the true one, both in the same frame and unit.

    Points are drawn uniformly by area; each distance is Euclidean, to the nearest point of the other mesh:
    accuracy and completeness are the mean distances from the prediction to the truth and back, chamfer is their mean,
    chamfer_permille that in thousandths of the truth's box diagonal. precision and recall are the shares of these
    distances below a threshold, fscore is their harmonic mean. normal_consistency is the mean |cosine| between the
    normals of neighbours, over both directions, normal_degrees the mean angle between them. noise_floor is what
    accuracy would be of a perfect mesh, from how far apart points lie. With culling, true points that no camera sees
    are not asked for, but stay for the prediction to be near to. Raises DataError where culling leaves nothing."""
    how = how or Comparison()
    diagonal = box_diagonal(true)
    generators = [np.random.default_rng([how.seed, k]) for k in range(5)]
    predicted_points = _draw(predicted, how, *generators[:2])
    true_points = _draw(true, how, *generators[2:4])
    predicted_points, asked, shares = _cull(predicted, true, predicted_points, true_points[0], how, diagonal)
    unit = diagonal if how.per_diagonal else 1.0
    tree = _tree(true_points[1])
    there, cosine_there = _nearest(predicted_points[0], predicted, tree, true_points[1], true)
    back, cosine_back = _nearest(asked, true, _tree(predicted_points[1]), predicted_points[1], predicted)
    again = sample_surface(true, min(how.samples, _NOISE_SAMPLES), generators[4])
    figures = _figures(there / unit, back / unit, diagonal / unit)
    figures["normal_consistency"] = float(0.5 * (cosine_there.mean() + cosine_back.mean()))
    figures["normal_degrees"] = float(0.5 * (_degrees(cosine_there).mean() + _degrees(cosine_back).mean()))
    figures["noise_floor"] = float(_distances(tree, again)[0].mean() / unit)
    figures |= how.told() | {
        "units": "true box diagonals" if how.per_diagonal else "scene units",
        "true_box_diagonal": diagonal,
    }
    figures |= {"samples_predicted": len(there), "samples_true": len(back)}
    figures |= {"predicted_mesh": asdict(topology(predicted)), "true_mesh": asdict(topology(true))}
    return figures | ({"visibility": shares} if shares else {})


def box_diagonal(mesh: Mesh) -> float:
    """Length of the diagonal of the box around the faces, in the mesh's units."""
    return float(np.linalg.norm(np.ptp(mesh.vertices[np.unique(mesh.faces)], axis=0)))


def _draw(mesh: Mesh, how: Comparison, *rngs: np.random.Generator) -> tuple[SurfacePoints, SurfacePoints]:
    """Points to measure, and points to measure to: the same unless these are to be denser."""
    targets = sample_surface(mesh, how.samples * how.dense, rngs[0])
    return (targets if how.dense == 1 else sample_surface(mesh, how.samples, rngs[1])), targets


def _cull(
    predicted: Mesh,
    true: Mesh,
    points: tuple[SurfacePoints, SurfacePoints],
    asked: SurfacePoints,
    how: Comparison,
    diagonal: float,
) -> tuple[tuple[SurfacePoints, SurfacePoints], SurfacePoints, dict[str, Any]]:
    """The predicted points and the true points asked for that count, and which shares of them do."""
    shares: dict[str, Any] = {}
    if how.box is not None:
        points = tuple(part[_in_box(part, how.box)] for part in points)
        asked = asked[_in_box(asked, how.box)]
    if how.culling is not None:
        views = how.culling.views
        visible = seen(asked.positions, true, views, _SURFACE * diagonal)
        kept = [in_views(part.positions, views, how.culling.masks) for part in points]
        shares = {"cameras": len(views), "true_visible": _share(visible), "predicted_in_views": _share(kept[0])}
        asked, points = asked[visible], tuple(part[keep] for part, keep in zip(points, kept, strict=True))
        if how.culling.hidden:
            kept = [seen(part.positions, predicted, views, _SURFACE * diagonal) for part in points]
            shares["predicted_visible"] = _share(kept[0])
            points = tuple(part[keep] for part, keep in zip(points, kept, strict=True))
    if not min(map(len, points)):
        raise DataError(
            "no point of the predicted mesh is left to measure. Both meshes, the cameras and the box have to be in one "
            "frame and unit: a mesh in normalised coordinates needs the transform to those of the ground truth."
        )
    if not len(asked):
        raise DataError(
            "no point of the ground truth is left to measure: none lies in the box and in sight of a camera. Check "
            "that cameras and ground truth are in one frame and unit."
        )
    return points, asked, shares


def _in_box(points: SurfacePoints, box: np.ndarray) -> np.ndarray:
    return ((points.positions >= box[0]) & (points.positions <= box[1])).all(axis=1)


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _tree(points: SurfacePoints) -> Any:
    from scipy.spatial import cKDTree  # a third of a second, which training without a ground truth does not need

    return cKDTree(points.positions, balanced_tree=False)


def _distances(tree: Any, points: SurfacePoints) -> tuple[np.ndarray, np.ndarray]:
    """To the nearest point of the tree (N,), and its index (N,)."""
    return tree.query(points.positions, workers=-1)


def _nearest(
    points: SurfacePoints, mesh: Mesh, tree: Any, targets: SurfacePoints, target: Mesh
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) distances to the nearest targets, and the |cosine| between the normals there."""
    distances, index = _distances(tree, points)
    own = _unit_normals(mesh, points.faces)
    other = _unit_normals(target, targets.faces[index])
    return distances, np.abs((own * other).sum(axis=1))


def _degrees(cosine: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(cosine.clip(max=1.0)))


def _unit_normals(mesh: Mesh, faces: np.ndarray) -> np.ndarray:
    vectors = area_vectors(mesh)[faces]
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)


def _figures(there: np.ndarray, back: np.ndarray, diagonal: float) -> dict[str, float]:
    """The figures of distances (N,) in the unit of the diagonal."""
    chamfer = 0.5 * (there.mean() + back.mean())
    figures = {"accuracy": there.mean(), "completeness": back.mean(), "chamfer": chamfer}
    figures["chamfer_permille"] = 1e3 * chamfer / diagonal
    for name, distances in (("accuracy", there), ("completeness", back)):
        figures[f"{name}_median"], figures[f"{name}_p95"] = np.percentile(distances, [50, 95])
    for name, share in SHARES.items():
        precision, recall = ((distances < share * diagonal).mean() for distances in (there, back))
        figures |= {f"threshold_{name}": share * diagonal, f"precision_{name}": precision, f"recall_{name}": recall}
        figures[f"fscore_{name}"] = 2.0 * precision * recall / max(precision + recall, 1e-30)
    return {name: float(value) for name, value in figures.items()}
