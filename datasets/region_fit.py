"""The region that fits a scene, and whether that of a model shows what the photographs show, before any training."""

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from datasets.geometry.axes import facing, focus_point
from datasets.scene import Scene
from utils.errors import DataError

log = logging.getLogger(__name__)
MAX_VIEWS = 100  # that are looked at, evenly spread
GRID = 128  # rows and columns of pixels that are looked at in a view
_OPAQUE = 128  # alpha from here on belongs to the object
_MARGIN, _LOADER_MARGIN = 1.1, 1.3  # around what alpha shows, and around the size that a loader gives an object
_IN_VIEW, _OVER_VIEWS = 0.995, 0.98  # quantiles of what alpha shows, since masks have specks
# shares of the object's pixels, or of all pixels, whose rays meet the region: refused and doubtful below these
_OBJECT_SHARES, _PIXEL_SHARES = (0.01, 0.8), (0.001, 0.01)
_MOST, _FEWEST = 0.4, 4  # share of cameras that hardly look away from an object, of at least so many
_TOO_LARGE = (60.0, 6.0)  # radii of the region in those of what is seen: refused and doubtful above these
CENTRED = "Move the origin of the cameras' coordinates into the object."
CENTRING = {  # how each dataset is told to put the object around the origin
    "blender": "Move the origin into the object, or use the loader that does: --config configs/neus-colmap.yaml "
    "dataset.name=transforms dataset.file=transforms_train.json and the same dataset.root_dir.",
    **dict.fromkeys(("dtu", "bmvs"), "Write a scale_mat that puts the object into the unit sphere."),
    **dict.fromkeys(
        ("colmap", "transforms"),
        "Set dataset.center_est_method, or the sphere around the object in dataset.region_file.",
    ),
}


@dataclass(frozen=True)
class Seen:
    """What the cameras of a scene see of an object, as rays: of its pixels where alpha tells them, else of all."""

    scene: Scene

    @cached_property
    def views(self) -> list[int]:
        """The views that are looked at."""
        return sorted({round(i) for i in np.linspace(0, len(self.scene) - 1, min(len(self.scene), MAX_VIEWS))})

    @cached_property
    def c2w(self) -> np.ndarray:
        """(N, 3, 4) float64 of all cameras."""
        return self.scene.c2w.astype(np.float64)

    @cached_property
    def focus(self) -> np.ndarray:
        """(3,) the point that the cameras look at."""
        return focus_point(self.c2w)

    @cached_property
    def rays(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The position (3,) and the unit directions (K, 3) of each view that is looked at; K may be 0."""
        return [(self.c2w[view, :, 3], self._directions(view)) for view in self.views]

    def _directions(self, view: int) -> np.ndarray:
        width, height = self.scene.sizes[view].tolist()
        row, column = (np.unique(np.linspace(0, size - 1, GRID).astype(np.int64)) for size in (height, width))
        row, column = (part.ravel() for part in np.meshgrid(row, column, indexing="ij"))
        if self.scene.has_alpha:
            opaque = self.scene.image(view)[row, column, 3] >= _OPAQUE
            row, column = row[opaque], column[opaque]
        fx, fy, cx, cy = self.scene.intrinsics[view].astype(np.float64)
        local = np.stack([(column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy, np.ones(len(row))], axis=1)
        return local / np.linalg.norm(local, axis=1, keepdims=True) @ self.c2w[view, :, :3].T

    @cached_property
    def away(self) -> float:
        """The share of the cameras that have the point which they look at behind them."""
        return float(np.mean(facing(self.c2w)[0] <= 0.0))

    @cached_property
    def converges(self) -> bool:
        """Whether the cameras look at one point, in front of them."""
        return bool(np.quantile(facing(self.c2w)[0], 0.2) > 0.8)

    def radius_around(self, centre: np.ndarray) -> float | None:
        """Of the sphere around a point (3,) that holds what alpha shows; None where it shows nothing.

        A ray that touches a sphere passes its centre at the distance of its radius."""
        passing = [np.linalg.norm(np.cross(ray, centre - position), axis=1) for position, ray in self.rays]
        passing = [np.quantile(distances, _IN_VIEW) for distances in passing if len(distances)]
        return float(np.quantile(passing, _OVER_VIEWS)) if passing else None

    @cached_property
    def extent(self) -> float | None:
        """Radius, around the focus, of what alpha shows, else of what nearly all cameras have in frame; None where they
        do not look at one point."""
        if not self.converges:
            return None
        if self.scene.has_alpha:
            return self.radius_around(self.focus)
        half = self.scene.sizes[:, :2] / 2.0 / self.scene.intrinsics[:, :2]
        narrow = half.min(axis=1)
        distance = np.linalg.norm(self.focus - self.c2w[:, :, 3], axis=1)
        return float(np.quantile(distance * narrow / np.hypot(1.0, narrow), 0.1))

    def fitting_radius(self) -> float | None:
        """The `model.radius` whose ball holds the object; None where nothing tells."""
        around_origin = self.radius_around(np.zeros(3)) if self.scene.has_alpha else None
        if around_origin is not None:
            return _MARGIN * around_origin
        if self.scene.object_radius is not None:
            return _LOADER_MARGIN * self.scene.object_radius
        return None if self.extent is None else _MARGIN * (float(np.linalg.norm(self.focus)) + self.extent)

    def share_in(self, radius: float) -> float:
        """The share of the rays that meet the cube [-radius, radius]^3 between near and far of the scene; 1 without
        rays."""
        met, total = 0, 0
        for position, directions in self.rays:
            with np.errstate(divide="ignore", invalid="ignore"):
                bounds = (np.array([[-radius], [radius]])[:, None] - position) / directions
            enter = np.nanmax(bounds.min(axis=0), axis=1).clip(min=self.scene.near)
            leave = np.nanmin(bounds.max(axis=0), axis=1).clip(max=self.scene.far)
            met, total = met + int((enter < leave).sum()), total + len(directions)
        return met / total if total else 1.0


def auto_radius(scene: Scene) -> float:
    """The number that `model.radius=auto` stands for, to four digits. Raises DataError where nothing tells it."""
    found = Seen(scene).fitting_radius()
    if found is None:
        raise DataError(
            f"model.radius=auto: expected alpha, masks or cameras that look at one point, got a scene {scene.name} of "
            f"which none tells how large the object is. Give a number, in the units of the cameras."
        )
    found = float(f"{found:.4g}")
    log.info("model.radius=auto: %g, for the scene %s", found, scene.name)
    return found


def check_region(scene: Scene, radius: float, centring: str) -> None:
    """Warns where a model of this radius hardly sees the object of a scene; raises DataError where it sees none of it.

    centring: what to do about a scene far from the origin, a sentence."""
    seen = Seen(scene)
    share, extent = seen.share_in(radius), seen.extent
    refused, doubtful = _OBJECT_SHARES if scene.has_alpha else _PIXEL_SHARES
    if scene.object_radius is not None and seen.away > _MOST and len(scene) >= _FEWEST:
        log.warning("%s: %s", scene.name, _looks_away(seen))
    beside = share < doubtful
    ratio = 0.0 if extent is None else radius / max(extent, 1e-12)
    if not beside and ratio <= _TOO_LARGE[1]:
        return
    pixels = "of the object's pixels" if scene.has_alpha else "of the pixels"
    fault = f"only {100.0 * share:.2g} % {pixels} look into the region" if beside else "the object fills little of it"
    away = float(np.linalg.norm(seen.focus))
    told = f"model.radius={radius:g}: {fault}, the cube of that half edge around the origin of the scene {scene.name}."
    if extent is not None:
        told += f" The cameras look at a point {away:.4g} from the origin and see about {extent:.4g} around it."
    told += f" {_remedy(seen, radius, centring)}"
    if (beside and share < refused) or ratio > _TOO_LARGE[0]:
        raise DataError(told)
    log.warning("%s", told)


def _looks_away(seen: Seen) -> str:
    return (
        f"{seen.away:.0%} of the cameras have the point where their views meet behind them, as in a room seen from its "
        f'middle. Of an object, their poses are in other axes (OpenCV\'s: write "from_na": true into transforms.json) '
        f"or are world to camera, and have to be inverted."
    )


def _remedy(seen: Seen, radius: float, centring: str) -> str:
    fitting, scene = seen.fitting_radius(), seen.scene
    is_cut = scene.near > 0.0 or np.isfinite(scene.far)
    if is_cut and fitting is not None and seen.share_in(max(radius, fitting)) < 0.5:
        return "Correct dataset.near_plane and dataset.far_plane, in the units of the cameras, or leave them out."
    if seen.away > _MOST:
        return f"It would not with any radius: {_looks_away(seen)}"
    if fitting is not None and seen.share_in(max(radius, fitting)) < _PIXEL_SHARES[1]:
        return (
            "It would not with any radius: the scene is centred elsewhere. Correct what says where the object is, such "
            "as region.json, sphere_center or scale_mat, or leave it out (dataset.region_file=null)."
        )
    if fitting is None:
        return "Give model.radius in the units of the cameras, with the object around their origin."
    if seen.extent is not None and fitting > _TOO_LARGE[1] * seen.extent:
        return centring
    return f"Set model.radius=auto, which is {fitting:.4g} here."
