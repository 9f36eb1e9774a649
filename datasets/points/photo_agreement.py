"""Whether the photographs of a scene and its cameras can be true together, before any training, by features alone.

Cameras that are turned about their axis by half a turn fit masks nearly as well as the right ones, and scenes without
masks or points have nothing else to tell. Matches of photographs obey one epipolar geometry (Hartley & Zisserman 2003,
section 9.6); the given cameras, or those with a common mistake undone, have to be that one."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np

from datasets.geometry.neighbours import nearest_views
from datasets.scene import Scene

log = logging.getLogger(__name__)
_SIDE = 480  # pixels of the photographs that are compared
_PAIRS = 8  # of views with similar directions, and half as many of views with neighbouring names
_FEATURES, _CONTRAST, _RATIO = 1000, 0.02, 0.8  # of SIFT (Lowe 2004), and of its test of a match
_FEWEST, _FEWEST_PAIRS, _ENOUGH = 14, 2, 3  # matches of a pair; pairs that tell a mistake, and that all is well
_GEOMETRY, _AGREE = 0.002, 0.5  # of the diagonal: how exact matches are; the share of them that has one geometry
# Sampson distances of the matches, as shares of the diagonal, in the median of the pairs: 0.0002 to 0.0007 for right
# cameras, 0.001 to 0.06 for others
_RIGHT, _EXPLAINS, _WRONG = 0.0006, 0.002, 0.006
_BETTER = 2.5  # times smaller, so that a mistake explains the photographs
_LYING = "photographs are stored lying and their cameras stand, or the reverse"
_TURNS = {90: _LYING, 180: "their x and y axes point the wrong way, or photographs are upside down", 270: _LYING}
_FLIPPED = (
    "with y and z the other way round, or with mirrored photographs: axes of OpenCV where OpenGL's are meant or the "
    "reverse, or photographs of a front camera"
)
_INVERSE = "as the inverses of their matrices: world to camera where camera to world is meant, or the reverse"
_TRANSPOSED = "with transposed rotations: rows where columns are meant"


@dataclass
class _Evidence:
    """The median distance of the matches of each pair of photographs, under each hypothesis."""

    distances: dict[str, list[float]] = field(default_factory=dict)

    def add(self, distances: dict[str, float]) -> None:
        for name, distance in distances.items():
            self.distances.setdefault(name, []).append(distance)

    @property
    def given(self) -> list[float]:
        return self.distances.get("", [])

    def is_right(self) -> bool:
        """Whether enough pairs show that the cameras are right."""
        return len(self.given) >= _ENOUGH and max(self.given) < _RIGHT

    def fault(self) -> str | None:
        """What is wrong with the cameras, in words; None where nothing tells."""
        given = np.array(self.given)
        if len(given) < _FEWEST_PAIRS:
            return None
        others = {name: np.array(values) for name, values in self.distances.items() if name}
        best = min(others, key=lambda name: float(np.median(others[name])))
        middle, least = float(np.median(given)), float(np.median(others[best]))
        is_better = middle > max(_RIGHT, _BETTER * least) and np.mean(others[best] < given) > 0.9
        if is_better and least < _EXPLAINS:
            return f"they fit the cameras {best}"
        if middle > _WRONG:
            return f"matching points lie {middle:.1%} of the diagonal beside where the cameras put them"
        return None


def check_photographs_and_cameras(scene: Scene) -> None:
    """Warns where matches of photographs contradict the cameras, and says which mistake would explain them.

    Scenes without texture, or with too few views that overlap, are not judged."""
    if len(scene) < 3:
        return
    evidence = _gather(scene)
    if fault := evidence.fault():
        log.warning(
            "%s: the photographs contradict the cameras: in %d pairs %s. If the result is wrong, this is why; "
            "docs/data.md has what is expected.",
            *(scene.name, len(evidence.given), fault),
        )


def _gather(scene: Scene) -> _Evidence:
    hypotheses = _hypotheses(scene.c2w.astype(np.float64))
    features: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    evidence = _Evidence()
    for pair in _pairs(scene):
        for view in pair:
            if view not in features:
                features[view] = _features(scene, view)
        found = _matches(*(features[view] for view in pair))
        diagonal = float(np.hypot(*scene.sizes[pair[0]]))
        if (points := _of_one_geometry(*found, _GEOMETRY * diagonal)) is None:
            continue
        distance = partial(_distance, scene, pair, points)
        evidence.add({name: distance(c2w) / diagonal for name, c2w in hypotheses.items()})
        if evidence.is_right():
            break
    return evidence


def _hypotheses(c2w: np.ndarray) -> dict[str, np.ndarray]:
    """(N, 3, 4) OpenCV cameras of all views as given, under "", and with each mistake undone, under its words."""

    def turned(axes: np.ndarray) -> np.ndarray:
        return np.concatenate([c2w[:, :, :3] @ axes, c2w[:, :, 3:]], axis=2)

    found = {"": c2w}
    for degrees, words in _TURNS.items():
        cosine, sine = np.cos(np.radians(degrees)).round(), np.sin(np.radians(degrees)).round()
        turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        found[f"turned by {degrees} degrees about their optical axis: {words}"] = turned(turn)
    flip = np.diag([1.0, -1.0, -1.0])
    found[_FLIPPED] = turned(flip)
    for name, axes in ((_INVERSE, np.eye(3)), (f"{_INVERSE} (in axes of OpenGL)", flip)):
        inverse = (c2w[:, :, :3] @ axes).transpose(0, 2, 1)
        found[name] = np.concatenate([inverse @ axes, -inverse @ c2w[:, :, 3:]], axis=2)
    found[_TRANSPOSED] = np.concatenate([c2w[:, :, :3].transpose(0, 2, 1), c2w[:, :, 3:]], axis=2)
    return found


def _pairs(scene: Scene) -> Iterator[tuple[int, int]]:
    """Views that should overlap, evenly spread: by their directions, and by their names where directions are wrong."""
    num = len(scene)
    some = sorted({round(i) for i in np.linspace(0, num - 1, min(num, _PAIRS))})
    near = nearest_views(scene.c2w, 1)[:, 0].tolist()
    yield from ((view, near[view]) for view in some)
    yield from ((view, view + 1) for view in some[::2] if view + 1 < num and near[view] != view + 1)


def _features(scene: Scene, view: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (K, 2) in pixels of the photograph and unit descriptors (K, 128) of features that are on the object,
    where alpha tells it."""
    image, size = scene.image(view), scene.sizes[view]
    factor = min(1.0, _SIDE / int(size.max()))
    small = tuple(np.maximum(np.rint(factor * size), 1).astype(int).tolist())
    grey = cv2.resize(
        cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2GRAY), small, interpolation=cv2.INTER_AREA
    )
    shown = np.full(image.shape[:2], 255, np.uint8)
    if scene.kept is not None:
        shown = scene.kept_of(view).astype(np.uint8) * 255
    elif scene.has_alpha:
        shown = np.ascontiguousarray(image[..., 3])
    mask = np.where(cv2.resize(shown, small, interpolation=cv2.INTER_AREA) > 127, 255, 0).astype(np.uint8)
    points, descriptors = cv2.SIFT_create(_FEATURES, contrastThreshold=_CONTRAST).detectAndCompute(grey, mask)
    if descriptors is None:
        return np.empty((0, 2)), np.empty((0, 128), np.float32)
    positions = (np.array([point.pt for point in points]) + 0.5) * size / small
    return positions, descriptors / np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), 1e-6)


def _matches(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Positions (M, 2) in each of two photographs of features that are each other's most similar, and clearly so."""
    if min(len(one[0]), len(other[0])) < _FEWEST:
        return np.empty((0, 2)), np.empty((0, 2))
    like = one[1] @ other[1].T
    rows, back = np.arange(len(like)), like.argmax(axis=0)
    best = like.argmax(axis=1)
    apart = np.sqrt(np.maximum(2.0 - 2.0 * np.sort(np.partition(like, -2, axis=1)[:, -2:], axis=1), 0.0))
    kept = (back[best] == rows) & (apart[:, 1] < _RATIO * apart[:, 0])
    return one[0][kept], other[0][best[kept]]


def _of_one_geometry(one: np.ndarray, other: np.ndarray, exact: float) -> tuple[np.ndarray, np.ndarray] | None:
    """The matches that agree on one epipolar geometry within `exact` pixels; None where too few do."""
    if len(one) < _FEWEST:
        return None
    _, kept = cv2.findFundamentalMat(one.astype(np.float32), other.astype(np.float32), cv2.FM_RANSAC, exact, 0.999, 500)
    if kept is None or kept.sum() < _FEWEST or kept.mean() < _AGREE:
        return None
    kept = kept.ravel().astype(bool)
    return one[kept], other[kept]


def _distance(scene: Scene, pair: tuple[int, int], points: tuple[np.ndarray, np.ndarray], c2w: np.ndarray) -> float:
    """Median Sampson distance of matches in pixels (Hartley & Zisserman 2003, eq. 11.9), for cameras (N, 3, 4)."""
    (one, other), (first, second) = points, (c2w[view] for view in pair)
    to_rays = []
    for view in pair:
        fx, fy, cx, cy = scene.intrinsics[view].astype(np.float64)
        to_rays.append(np.array([[1.0 / fx, 0.0, -cx / fx], [0.0, 1.0 / fy, -cy / fy], [0.0, 0.0, 1.0]]))
    x, y, z = second[:, :3].T @ (first[:, 3] - second[:, 3])
    essential = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) @ second[:, :3].T @ first[:, :3]
    fundamental = to_rays[1].T @ essential @ to_rays[0]
    one, other = (np.column_stack([part, np.ones(len(part))]) for part in (one, other))
    lines, back = one @ fundamental.T, other @ fundamental
    slope = np.sqrt(np.square(lines[:, :2]).sum(axis=1) + np.square(back[:, :2]).sum(axis=1))
    return float(np.median(np.abs((other * lines).sum(axis=1)) / np.maximum(slope, 1e-12)))
