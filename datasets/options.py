"""The options of datasets: those of every dataset, of a folder of images, and of a folder without splits."""

import logging
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

from utils.config.limits import Range
from utils.errors import ConfigError
from utils.terminal.typed_paths import typed_path

log = logging.getLogger(__name__)
HOLDOUT = 8  # every 8th view is kept for evaluation where a dataset brings no split of its own
Split = Literal["train", "val", "test"]
Placement = Literal["auto", "device", "host"]
ViewNumber = Annotated[int, Range(0, 10**6)]
Pixels = Annotated[int, Range(1, 65536)]
Factor = Annotated[float, Range(1.0, 1000.0)]
Holdout = ViewNumber | tuple[ViewNumber, ...]  # every n-th view, or the indices of views


def check_holdout(holdout: Holdout) -> None:
    """Raises ConfigError for an interval or for indices that no views can be held out by."""
    if isinstance(holdout, int):
        if holdout == 1:
            raise ConfigError(f"dataset.holdout: expected 0 (none) or at least 2, got {holdout}.")
    elif not holdout or len(set(holdout)) < len(holdout):
        raise ConfigError(f"dataset.holdout: expected different indices of views from 0 on, got {list(holdout)}.")


@dataclass(frozen=True)
class Resolution:
    """The image size that the user asks for: width and height, a factor, or neither (as on disk)."""

    img_wh: tuple[int, int] | None = None
    img_downscale: float | None = None

    def of(self, disk_size: tuple[int, int], where: str) -> tuple[int, int]:
        """(width, height) to use for an image of `disk_size`; raises ConfigError if the two options disagree."""
        width, height = disk_size
        scaled = disk_size
        if self.img_downscale is not None:
            scaled = max(1, round(width / self.img_downscale)), max(1, round(height / self.img_downscale))
        if self.img_wh is None:
            return scaled
        w, h = self.img_wh
        if self.img_downscale is not None and (w, h) != scaled:
            raise ConfigError(
                f"dataset.img_wh is {w}x{h}, but dataset.img_downscale={self.img_downscale:g} makes {where} "
                f"{scaled[0]}x{scaled[1]}. Give only one of the two."
            )
        if abs(h - w * height / width) > 0.5 and abs(w - h * width / height) > 0.5:
            raise ConfigError(
                f"{where} is {width}x{height}; dataset.img_wh={w}x{h} has another aspect ratio. "
                f"Use e.g. {w}x{max(1, round(w * height / width))}, or dataset.img_downscale."
            )
        return w, h


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """The options of every dataset. The config of each dataset inherits them, that of a dataset of your own too.

    They are keyword-only, so that a subclass can add fields without a default."""

    # where a GPU reads the pixels: "auto" keeps them on the GPU if they take at most half of its free memory, else in
    # pinned host memory; where the system pins no more (WSL 2 beyond a limit), each batch is copied
    pixels_on: Placement = "auto"
    # pixels of the images as trained: the mask loss ignores pixels within this distance of a mask's outline
    mask_band: Annotated[int, Range(0, 10**4)] = 0
    # the true surface in world coordinates, one file or several; the exported mesh is compared with it
    gt_mesh: str | tuple[str, ...] | None = None

    UNUSED: ClassVar[dict[str, str]] = {
        "load_data_on_gpu": "dataset.pixels_on decides where the pixels are; its default depends on the free memory"
    }

    def __post_init__(self) -> None:
        for item in fields(self):  # text of a dataset that begins with ~ is a path, one of several perhaps
            value = getattr(self, item.name)
            paths = value if isinstance(value, tuple) else (value,)
            if item.name != "scene" and any(isinstance(path, str) and path.startswith("~") for path in paths):
                typed = tuple(str(typed_path(path)) for path in paths)
                object.__setattr__(self, item.name, typed if isinstance(value, tuple) else typed[0])


def common_options(config: Any) -> DatasetConfig:
    """The options that every dataset has: `config` itself, or the defaults where it does not inherit DatasetConfig.

    Logs a warning in the second case, since nobody can set the options then."""
    if isinstance(config, DatasetConfig):
        return config
    name = type(config).__name__
    log.warning(
        "%s does not inherit DatasetConfig, so %s keep their defaults and cannot be set. Write "
        "`from datasets.options import DatasetConfig` and `class %s(DatasetConfig):`",
        *(name, ", ".join(f"dataset.{item.name}" for item in fields(DatasetConfig)), name),
    )
    return DatasetConfig()


@dataclass(frozen=True)
class FolderConfig(DatasetConfig):
    """A folder of images, used at their size on disk unless img_wh or img_downscale is set."""

    root_dir: str
    scene: str | None = None  # name of the scene, for experiment names and root_dir: ${dataset.scene}
    img_wh: tuple[Pixels, Pixels] | None = None  # width, height in pixels
    img_downscale: Factor | None = None  # or a factor >= 1
    holdout: Holdout = HOLDOUT  # every n-th view is held out for val and test, or a list of views; 0: none
    follow_links: bool = False  # files of the dataset may be links to files outside of root_dir
    # frames of the orbit video; None: 180 of the model on a GPU, 60 of the mesh on a CPU; 0: it shows the test views
    n_test_traj_steps: Annotated[int, Range(0, 10**5)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_holdout(self.holdout)

    @property
    def resolution(self) -> Resolution:
        """img_wh and img_downscale. Raises ConfigError for impossible values."""
        return Resolution(self.img_wh, self.img_downscale)


@dataclass(frozen=True)
class UnsplitFolderConfig(FolderConfig):
    """A folder of images without splits, and with masks as separate files, if any."""

    apply_mask: bool = True  # use the masks, if any, as the alpha of the images
    train_split: Split = "train"
    val_split: Split = "val"  # "val" and "test" are the same held-out views
    test_split: Split = "test"

    def is_held_out(self, split: str) -> bool:
        """Whether a split consists of the views that are held out of training."""
        return getattr(self, f"{split}_split") != "train"
