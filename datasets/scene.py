"""The one value that every loader returns: posed uint8 images in the scene frame, ready for sampling."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from datasets.files.other_formats import told, without_cameras
from datasets.lighting import SceneLighting
from utils.ahead import Ahead
from utils.errors import DataError
from utils.mesh.stand import Stand
from utils.registry import build, find, names

SPLITS = ("train", "val", "test")
_BELOW = 0.5  # cosine between up and the normal of a plane from which on the object stands on the plane


@dataclass(frozen=True)
class Scene:
    """Posed photographs. The object is near the origin of the scene frame; cameras are OpenCV (x right, y down,
    z forward).

    Images may differ in size: one flat array contains their pixels one after the other, image n at
    `pixels[offsets[n] : offsets[n] + W * H]`, row by row. The centre of pixel (x, y) is at (x + 0.5, y + 0.5)."""

    name: str
    pixels: np.ndarray  # (P, C) uint8, sRGB; C = 3, or 4 with straight alpha (a mask is stored as alpha)
    sizes: np.ndarray  # (N, 2) int64, width and height
    c2w: np.ndarray  # (N, 3, 4) float32, camera to scene, rotation orthonormal
    intrinsics: np.ndarray  # (N, 4) float32: fx, fy, cx, cy in pixels
    image_names: tuple[str, ...]
    world_from_scene: np.ndarray = field(default_factory=lambda: np.eye(4))  # (4, 4) float64, similarity
    points: np.ndarray | None = None  # (K, 3) float32, sparse points in the scene frame
    object_radius: float | None = None  # of the object around the origin, where the loader puts it there; None: unknown
    near: float = 0.0  # scene units along the ray; the model clips rays to its own region too
    far: float = float("inf")
    # (4,) float64 nx, ny, nz, d: the object stands on the plane n @ x = d, its normal to the cameras; None: unknown
    ground: np.ndarray | None = None
    up: np.ndarray | None = None  # (3,) float64, unit length, away from what the object stands on; None: unknown
    metres_per_unit: float | None = None  # of the world frame; None: unknown
    lighting: SceneLighting | None = None  # None: lamps stand still in the scene
    # (P,) bool, the pixels that tell something, each image with at least one; False: not to be looked at; None: all
    kept: np.ndarray | None = None
    orbit_views: int | None = None  # frames of the orbit video; None: by the device; 0: it shows the test views

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def has_alpha(self) -> bool:
        """Whether the images carry alpha or masks."""
        return self.pixels.shape[1] == 4

    @property
    def stand(self) -> Stand:
        """How the object stands in the scene frame; on `ground` unless that is above it."""
        scale = float(np.cbrt(abs(np.linalg.det(self.world_from_scene[:3, :3]))))
        metres = None if self.metres_per_unit is None else scale * self.metres_per_unit
        if self.up is None or self.ground is None or self.ground[:3] @ self.up < _BELOW:
            return Stand(self.up, None, metres)
        return Stand(self.ground[:3], float(self.ground[3]), metres)

    @property
    def offsets(self) -> np.ndarray:
        """(N,) int64: where each image starts in `pixels`."""
        counts = self.sizes.prod(axis=1)
        return np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)

    def image(self, index: int) -> np.ndarray:
        """(H, W, C) uint8 view of one image; no copy."""
        return self._of_image(self.pixels, index)

    def kept_of(self, index: int) -> np.ndarray | None:
        """(H, W) bool view of `kept` for one image; no copy. None: all of it."""
        return None if self.kept is None else self._of_image(self.kept, index)[..., 0]

    def _of_image(self, values: np.ndarray, index: int) -> np.ndarray:
        (width, height), start = self.sizes[index], self.offsets[index]
        return values[start : start + width * height].reshape(height, width, -1)


class SceneLoader(Protocol):
    """What a dataset registers: built from its Config alone, it loads one split at a time."""

    def load(self, split: str) -> Scene:
        """The scene of one split: "train", "val" or "test". Raises DataError when the files do not fit."""
        ...


def load_split(loader: SceneLoader, config: Any, split: str) -> Scene:
    """The scene of a split. Raises DataError; for a folder that another program wrote, or that another reader is for,
    one that says so."""
    try:
        return loader.load(split)
    except DataError as error:
        name = next((name for name in names("dataset") if find("dataset", name).target is type(config)), None)
        root = getattr(config, "root_dir", None)
        files = [getattr(config, key) for key in ("file", "cameras_file") if hasattr(config, key)]
        if name is None or root is None:
            raise
        if (Path(root) / "config/parsed.yaml").is_file():
            hint = f"To go on with it: --resume {root}."
            raise DataError(f"{root}: is the folder of a run, and holds no photographs. {hint}") from error
        if advice := told(Path(root), name, files):
            raise DataError(advice) from error
        if advice := without_cameras(Path(root), name, files):
            raise DataError(f"{error} {advice}") from error
        raise


class EarlyScenes(Ahead):
    """A loader that begins to load splits before they are asked for: photographs are decoded while torch is imported.

    judge: of the first split, once all are loaded; it raises DataError or warns. doubt: of the same, for what takes
    longer, which nobody has to wait for; it begins when it is first asked for, and warns."""

    def __init__(
        self,
        config: Any,
        splits: Sequence[str],
        judge: Callable[[Scene], None] | None = None,
        doubt: Callable[[Scene], None] | None = None,
    ) -> None:
        self.splits, self._load = tuple(splits), partial(load_split, build(config), config)
        self._doubt, self._doubting, self._open = doubt, None, ExitStack()
        super().__init__(*(partial(self._load, split) for split in splits), partial(self._say, judge))

    def _say(self, by: Callable[[Scene], None] | None) -> None:
        if by is not None:
            by(self._results[0])  # not `result`, which says what was logged

    def load(self, split: str) -> Scene:
        """The scene of one split, see `SceneLoader`."""
        return self.result(self.splits.index(split)) if split in self.splits else self._load(split)

    def judge(self) -> None:
        """Raises what the judge raised, or says what it said."""
        self.result(len(self.splits))

    def doubt(self, wait: bool) -> bool:
        """Says what was said as a doubt, and returns True; without `wait`, only if that is known already."""
        if self._doubting is None:
            self._doubting = self._open.enter_context(Ahead(partial(self._say, self._doubt)))
        is_known = wait or self._doubting.is_done(0)
        if is_known:
            self._doubting.result(0)
        return is_known

    def __exit__(self, *args: Any) -> None:
        """Ends what goes on."""
        with self._open:
            super().__exit__(*args)
