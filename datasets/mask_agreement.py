"""Whether the masks of a scene and its cameras can be true together, before any training.

Masks are compared with their visual hull (Laurentini 1994, definition 1), the largest shape that they allow: a mask of
another photograph, an inverted one, poses in other axes and cameras of other images leave next to nothing of it."""

import logging
from dataclasses import dataclass

import cv2
import numpy as np

from datasets.geometry.axes import nearest_point
from datasets.geometry.silhouettes import ball_points, show_points
from datasets.region_fit import Seen
from datasets.scene import Scene
from utils.errors import DataError

log = logging.getLogger(__name__)
FEWEST = 5  # views that tell something about each other
_HULL_VIEWS = 40  # that make the hull, evenly spread; all are compared with it
_SIDE = 56  # points of the grid along the diameter of the object
_MISSES = 0.1  # of the views of a point, the share whose mask may leave it out, and at least one
_SEEN = 0.15  # of the views, the share that has a point in frame
_SPACING = 0.75  # of a cell of an image, in distances of the points as it shows them
_OPAQUE = 128  # alpha from here on belongs to the object
# shares of masks that the hull explains, in the median of the views: refused and doubtful below these
_EXPLAINED = (0.3, 0.85)
# the same of one view, and the share of the hull that its mask leaves out: refused and doubtful below and above these
_ONE_EXPLAINED, _ONE_LEFT_OUT = (0.3, 0.75), (0.7, 0.4)
_KERNEL = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class _View:
    """Where one view shows the points of the grid, and its mask, in cells."""

    inside: np.ndarray  # (K,) bool, in frame
    row: np.ndarray  # (K,) int64, in cells; 0 out of frame
    column: np.ndarray
    mask: np.ndarray  # (h, w) bool, cells with the object
    near: np.ndarray  # (h, w) bool, cells with the object in them or beside them

    @property
    def misses(self) -> np.ndarray:
        """(K,) bool: points in frame that the mask leaves out."""
        return self.inside & ~self.near[self.row, self.column]

    def explained(self) -> float:
        """The share of the mask that the points cover; 1 for an empty mask."""
        shown = np.zeros(self.mask.shape, np.uint8)
        shown[self.row[self.inside], self.column[self.inside]] = 1
        covered = cv2.dilate(shown, _KERNEL) > 0
        return float(covered[self.mask].mean()) if self.mask.any() else 1.0

    def left_out(self) -> float:
        """The share of the points in frame that the mask leaves out; 0 without such points."""
        return float(self.misses[self.inside].mean()) if self.inside.any() else 0.0


def check_agreement(scene: Scene) -> None:
    """Raises DataError where masks or alpha contradict the cameras, of all views or of some; warns where they may.

    Scenes without alpha, of less than FEWEST views, and with pixels that are not to be looked at, are not judged."""
    if not scene.has_alpha or scene.kept is not None or len(scene) < FEWEST:
        return
    ball = _ball(Seen(scene))
    if ball is None:
        return
    centre, radius = ball
    hull = _hull(scene, centre, radius)
    views = [_view(scene, i, hull, 2.0 * radius / _SIDE) for i in range(len(scene))]
    explained, left_out = (np.array([getattr(view, name)() for view in views]) for name in ("explained", "left_out"))
    if (share := float(np.median(explained))) < _EXPLAINED[1]:
        _tell(
            f"{scene.name}: the masks contradict the cameras: the largest shape that all masks allow covers "
            f"{share:.0%} of them. Masks may be those of other images, paired in another order or inverted, poses in "
            f"other axes, inverted or for other images; docs/data.md has what is expected.",
            is_refused=share < _EXPLAINED[0],
        )
        return
    refused, doubtful = (
        np.flatnonzero((explained < least) | (left_out > most))
        for least, most in zip(_ONE_EXPLAINED, _ONE_LEFT_OUT, strict=True)
    )
    if len(doubtful):
        first = (*refused, *doubtful)[0]
        fault = "shows the object elsewhere" if explained[first] < _ONE_EXPLAINED[1] else "leaves out the object"
        _tell(
            f"{scene.name}: the masks or cameras of {len(doubtful)} of {len(scene)} images contradict the others, "
            f"first {scene.image_names[first]}, whose mask {fault}. Correct the mask, which may be inverted, empty or "
            f"that of another image, or remove the image.",
            is_refused=len(refused) > 0,
        )


def _tell(text: str, is_refused: bool) -> None:
    if is_refused:
        raise DataError(text)
    log.warning("%s", text)


def _ball(seen: Seen) -> tuple[np.ndarray, float] | None:
    """Centre (3,) and radius of the ball around what alpha shows; None where it shows nothing in most views.

    The centre is the point nearest to the middle rays of the views, in the least-squares sense."""
    rays = [(position, directions.mean(axis=0)) for position, directions in seen.rays if len(directions)]
    if len(rays) < FEWEST:
        return None
    positions, axes = (np.stack(part) for part in zip(*rays, strict=True))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    centre = nearest_point(positions, axes, positions.mean(axis=0), 1e-9)
    passing = [np.linalg.norm(np.cross(ray, centre - position), axis=1) for position, ray in seen.rays if len(ray)]
    return centre, float(np.quantile([np.quantile(distances, 0.995) for distances in passing], 0.9))


def _hull(scene: Scene, centre: np.ndarray, radius: float) -> np.ndarray:
    """(K, 3) points in a ball that the masks of nearly all of the views that have them in frame show."""
    grid = centre + ball_points(radius, _SIDE)
    chosen = sorted({round(i) for i in np.linspace(0, len(scene) - 1, min(len(scene), _HULL_VIEWS))})
    seen, missed = np.zeros(len(grid), int), np.zeros(len(grid), int)
    for i in chosen:
        view = _view(scene, i, grid, 2.0 * radius / _SIDE)
        seen += view.inside
        missed += view.misses
    return grid[(seen >= max(3.0, _SEEN * len(chosen))) & (missed <= np.maximum(1.0, _MISSES * seen))]


def _view(scene: Scene, index: int, points: np.ndarray, spacing: float) -> _View:
    """A view of points (K, 3) that are `spacing` apart."""
    camera, (width, height) = scene.intrinsics[index].astype(np.float64), scene.sizes[index].tolist()
    shown = show_points(points, scene.c2w[index].astype(np.float64), camera, (width, height))
    depth = float(np.median(shown.depth[shown.inside])) if shown.inside.any() else 1.0
    cell = int(np.clip(np.ceil(_SPACING * camera[:2].max() * spacing / depth), 1, max(width, height)))
    opaque = (scene.image(index)[..., 3] >= _OPAQUE).astype(np.float32)
    padded = np.pad(opaque, ((0, -height % cell), (0, -width % cell)))
    shares = cv2.resize(padded, (padded.shape[1] // cell, padded.shape[0] // cell), interpolation=cv2.INTER_AREA)
    mask = (shares > 0.0).astype(np.uint8)
    return _View(shown.inside, shown.row // cell, shown.column // cell, mask > 0, cv2.dilate(mask, _KERNEL) > 0)
