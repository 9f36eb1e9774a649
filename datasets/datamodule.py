"""Hands a dataset's splits to Lightning; reads images once per split and draws rays on the device."""

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, IterableDataset

from datasets.assemble import require_folder
from datasets.files.true_mesh import true_mesh_files
from datasets.geometry.axes import level_up
from datasets.masks import check_band
from datasets.options import common_options
from datasets.points.known_points import known_points, remember
from datasets.poses import orbit
from datasets.sampler import RaySampler
from datasets.scene import Scene, SceneLoader, load_split
from utils.cameras import Camera, fit_whole
from utils.errors import DataError
from utils.mesh import Mesh
from utils.rays import Corrections, Rays
from utils.registry import build

DEFAULT_ORBIT = 60  # frames of --predict, where the dataset sets none


class _Steps(IterableDataset):
    """Endless, since the trainer stops at max_steps and each step draws its own rays."""

    def __iter__(self) -> Iterator[int]:
        step = 0
        while True:
            yield step
            step += 1


def _read_true_mesh(paths: str | tuple[str, ...] | None, root: str | None) -> Mesh | None:
    """The true surface, read before training so that a missing file is reported then; or a missing dataset, if both
    are. root: the folder of the dataset."""
    try:
        files = true_mesh_files(paths)
    except DataError:
        if root is not None:
            require_folder(Path(root), "the images of the dataset")
        raise
    if not files:
        return None
    from utils.mesh.files import read_meshes  # imports Numba, which training on a GPU does not need

    try:
        return read_meshes(files)
    except DataError as error:
        raise DataError(f"dataset.gt_mesh: {error}") from None


class SceneData(pl.LightningDataModule):
    """The scenes of an experiment. Loads each split once, and puts it on each device once."""

    def __init__(
        self,
        config: Any,
        per_image: bool,
        num_val_views: int | float,
        backend: str,
        loader: SceneLoader | None = None,
    ) -> None:
        """loader: of the config, where one has begun to load; None: a new one."""
        super().__init__()
        self.num_val_views = num_val_views
        common = common_options(config)
        options = {"placement": common.pixels_on, "mask_band": common.mask_band}
        self._options = {"per_image": per_image, "backend": backend, **options}
        self.true_mesh = _read_true_mesh(common.gt_mesh, getattr(config, "root_dir", None))
        self.scene = cache(loader.load if loader else partial(load_split, build(config), config))
        self._samplers: dict[tuple[int, torch.device], RaySampler] = {}
        self.correct_cameras(None)
        self.orbit_path = cache(self._orbit_path)

    def views(self, split: str, device: torch.device) -> RaySampler:
        """The views of a split for a device; splits of the same scene share them."""
        scene = self.scene(split)
        if split == "train":
            check_band(scene, self._options["mask_band"])
        key = id(scene), device
        if key not in self._samplers:
            self._samplers[key] = RaySampler(scene, device, **self._options)
        if self._corrections is None:
            return self._samplers[key]
        if key not in self._corrected:
            loaded, is_training = self._samplers[key], scene is self.scene("train")
            seen = self._corrections(loaded.photographs, loaded.heights, is_training)
            self._corrected[key] = loaded.with_cameras(seen.c2w, seen.intrinsics)
        return self._corrected[key]

    def correct_cameras(self, corrections: Corrections | None) -> None:
        """Gives photographs, from now on, other cameras than they were loaded with; None: those again."""
        self._corrections = corrections
        self._corrected: dict[tuple[int, torch.device], RaySampler] = {}

    @property
    def world_from_scene(self) -> np.ndarray:
        """(4, 4) from the scene frame to the user's coordinates."""
        return self.scene("test").world_from_scene

    @property
    def orbit_views(self) -> int | None:
        """Frames of the orbit in the video; None: as many as suit the device; 0 where it shows the test views."""
        return self.scene("test").orbit_views

    @property
    def predicted_views(self) -> int:
        """Frames of the orbit that --predict renders."""
        return self.orbit_views or DEFAULT_ORBIT

    @property
    def up(self) -> np.ndarray:
        """(3,) unit vector in the scene frame: off the ground, where that is known, else what is up for the cameras."""
        scene: Scene = self.scene("test")
        if scene.ground is None:
            return level_up(scene.c2w.astype(np.float64))
        return scene.ground[:3] / np.linalg.norm(scene.ground[:3])

    def _orbit_path(self, num: int) -> np.ndarray:
        return orbit(self.scene("test").c2w, num, self.up)

    def orbit(
        self,
        index: int,
        num: int,
        size: tuple[int, int],
        device: torch.device,
        pixel: torch.Tensor,
        shift: torch.Tensor,
    ) -> Rays:
        """Rays of pixels (R,) of the camera of `orbit_camera`, see `RaySampler.view`."""
        camera = self.orbit_camera(index, num, size)
        return self.views("test", device).view(camera.c2w, camera.intrinsics, size, pixel, shift)

    def orbit_camera(self, index: int, num: int, size: tuple[int, int]) -> Camera:
        """The camera of frame `index` of `num`, size = (W, H); with the lens of the first test view it shows at least
        what that view does."""
        scene: Scene = self.scene("test")
        intrinsics = fit_whole(scene.intrinsics[0], tuple(scene.sizes[0].tolist()), size)
        return Camera(self.orbit_path(num)[index], intrinsics, size)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """For a checkpoint: the points that were triangulated for the training, if any."""
        return {name: torch.from_numpy(points) for name, points in known_points(self.scene("train")).items()}

    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> None:
        """From a checkpoint, before the training goes on; they count only for the same photographs and cameras."""
        remember({name: points.numpy() for name, points in state_dict.items()})

    def train_dataloader(self) -> DataLoader:
        """Step numbers without end."""
        return DataLoader(_Steps(), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        """Indices of the first few validation views."""
        total, wanted = len(self.scene("val")), self.num_val_views
        count = round(total * wanted) if isinstance(wanted, float) else wanted
        return DataLoader(range(min(max(count, 1), total)), batch_size=None)

    def test_dataloader(self) -> DataLoader:
        """Indices of all test views."""
        return DataLoader(range(len(self.scene("test"))), batch_size=None)

    def predict_dataloader(self) -> DataLoader:
        """Indices of the orbit frames."""
        return DataLoader(range(self.predicted_views), batch_size=None)
