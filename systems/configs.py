"""What an experiment can be told in YAML beside its dataset and model; free of torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

from models.background_configs import ColorBackgroundConfig, NoBackgroundConfig
from models.configs import FrequencyConfig, NeRFConfig
from systems.schedules import ConstantLR, SchedulerConfig
from utils import registry
from utils.config import compose, schema
from utils.config.schedule import Schedule
from utils.config.schema import component
from utils.errors import ConfigError
from utils.registry import register

# Losses that read a signed distance. A model that is registered elsewhere is asked when it renders, in systems.losses.
_FIELDLESS = NoBackgroundConfig, ColorBackgroundConfig  # backgrounds without samples
_SDF_LOSSES = ("eikonal", "sparsity", "curvature", "normal_smooth", "ncc", "sparse_points")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the registered losses, `lambda_<name>`: a number or a schedule; 0 switches a loss off."""

    weights: dict[str, Schedule]
    sparsity_scale: float = 1.0  # sharpness of the sparsity loss, in 1 / scene unit
    normal_smooth_scale: float = 10.0  # how soon normal_smooth fades with the mean difference of channels, in [0, 1]
    sparse_points_num: int = 1024  # of them in a step
    ncc_rays: int = 512  # of a step whose patches are compared, at most
    ncc_patch: int = 11  # pixels along the side of a patch, odd
    ncc_views: int = 8  # neighbours of a photograph that its patches are compared with
    ncc_best: int = 4  # of these, the views that show a patch most alike count: others may not see it

    def __post_init__(self) -> None:
        for name, least in (
            ("sparse_points_num", 1),
            ("ncc_rays", 1),
            ("ncc_patch", 3),
            ("ncc_best", 1),
            ("ncc_views", self.ncc_best),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"system.loss.{name}: expected at least {least}, got {getattr(self, name)}.")
        if self.ncc_patch % 2 == 0:
            raise ConfigError(f"system.loss.ncc_patch: expected an odd number of pixels, got {self.ncc_patch}.")

    @classmethod
    def options(cls) -> dict[str, type]:
        """The keys beside the weights, with their types."""
        return {item.name: item.type for item in fields(cls) if item.name != "weights"}

    @classmethod
    def from_config(cls, value: Any, where: str) -> "LossConfig":
        """Reads a block of `lambda_<name>: weight`. Raises ConfigError for a loss that does not exist."""
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected a block of lambda_<loss>: weight, got {value!r}.")
        known = [f"lambda_{name.replace('-', '_')}" for name in registry.names("loss")]
        weights, options, settings = {}, {}, cls.options()
        for key, item in value.items():
            if key in settings:
                options[key] = schema.convert(settings[key], item, f"{where}.{key}")
            elif key in known:
                weights[key.removeprefix("lambda_")] = Schedule.from_config(item, f"{where}.{key}")
            else:
                known += settings
                hint = registry.nearest(str(key), known)
                raise ConfigError(f"{where}.{key}: unknown loss.{hint} Known here: {', '.join(known)}.")
        return cls(weights, **options)

    def is_off(self, name: str) -> bool:
        """Whether the weight of a loss is absent, or 0 at every step."""
        weight = self.weights.get(name)
        return weight is None or weight.is_zero

    def to_config(self) -> dict[str, Any]:
        """The YAML form that `from_config` reads back."""
        weights = {f"lambda_{name}": weight.to_config() for name, weight in self.weights.items()}
        return weights | {name: getattr(self, name) for name in self.options()}


@dataclass(frozen=True)
class OptimizerArgs:
    """Settings of one parameter group."""

    lr: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = 1e-15
    # None: what torch's optimiser of that name does (AdamW 0.01, Adam 0). Of geometry it draws features of the grid
    # towards 0, and thus to less detail
    weight_decay: float | None = None


@dataclass(frozen=True)
class GroupArgs:
    """What one part of the model (geometry, texture, variance, exposure) changes of `optimizer.args`."""

    lr: float | None = None
    betas: tuple[float, float] | None = None
    eps: float | None = None
    weight_decay: float | None = None


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimiser and, by part of the model, what differs."""

    name: Literal["AdamW", "Adam"] = "AdamW"
    args: OptimizerArgs = field(default_factory=OptimizerArgs)
    params: dict[str, GroupArgs] = field(default_factory=dict)


@dataclass(frozen=True)
class SystemConfig:
    """Losses, optimiser and learning-rate schedule."""

    loss: LossConfig
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    exposure: bool = False  # learns a gain and an offset of each channel for each training image
    error_guided: float = 0.0  # share of the rays that go where colours are most wrong, in cells of 16 x 16 pixels
    scheduler: SchedulerConfig = field(default_factory=lambda: SchedulerConfig(ConstantLR()))
    constant_steps: int | None = None  # for interpolation in the scheduler
    final_lr_share: float | None = None  # likewise: the learning rate at the end, as a share of that of the start
    warmup_steps: int | None = None  # likewise

    def __post_init__(self) -> None:
        if not 0.0 <= self.error_guided <= 1.0:
            raise ConfigError(f"system.error_guided: expected a share from 0 to 1, got {self.error_guided:g}.")


@register("system", "neus-system", builds="systems.training.reconstruction:ReconstructionSystem")
@dataclass(frozen=True)
class NeuSSystemConfig(SystemConfig):
    """Trains a NeuS."""


@register("system", "nerf-system", builds="systems.training.reconstruction:ReconstructionSystem")
@dataclass(frozen=True)
class NeRFSystemConfig(SystemConfig):
    """Trains a NeRF."""


@dataclass(frozen=True)
class CheckpointConfig:
    """When checkpoints are written; the last step always is. See trainer.save_every_minutes too."""

    save_top_k: Literal[-1, 1] = -1  # -1 keeps all, 1 the newest
    every_n_train_steps: int = 5000


@dataclass(frozen=True)
class ExportConfig:
    """What the test pass leaves behind."""

    chunk_size: int = 2**21  # points per query of the field during mesh extraction on a GPU; a CPU takes 2^17 at most
    export_vertex_color: bool = True
    formats: tuple[str, ...] = ("obj", "ply")  # beside these there is glb, for web pages
    # faces without a corner in the frame of a training camera are dropped, or without one that such a camera sees
    crop: Literal["none", "frame", "visible"] = "none"
    min_component: float = 0.05  # components below this share of the largest one's area are dropped and reported
    min_shown_component: float = 0.001  # the same where masks or alpha show that a component belongs to the object
    close_holes: float = 0.0  # holes up to this perimeter, as a share of the diagonal of the mesh's box, are closed
    projection_steps: int = 1  # Newton steps that take each vertex onto the zero set of an SDF, within its cell
    max_faces: int | None = None  # a mesh of more is decimated; None: all are kept, or 100000 of a textured mesh
    # a picture for obj and glb, of the colours that the model has on the surface, or blended from the training views
    texture: Literal["none", "field", "views"] = "none"
    texture_size: int = 2048  # texels along each side of it
    video_fps: int = 30
    report: bool = True  # save/report.html, figures, views, curves and the mesh in one file that needs no network

    def __post_init__(self) -> None:
        least = {
            "min_component": 0.0,
            "min_shown_component": 0.0,
            "close_holes": 0.0,
            "projection_steps": 0,
            "max_faces": 4,
            "texture_size": 16,
        }
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise ConfigError(f"export.{name}: expected at least {bound:g}, got {value:g}.")
        if self.texture != "none" and not {"obj", "glb"} & set(self.formats):
            raise ConfigError(
                f"export.texture={self.texture}: needs a format that holds a picture, got export.formats="
                f"[{','.join(self.formats)}]. Add obj or glb, or set export.texture=none."
            )


@dataclass(frozen=True)
class TrainerConfig:
    """The training loop."""

    max_steps: int = 20000
    log_every_n_steps: int = 100
    val_check_interval: int = 5000  # steps
    # minutes after a checkpoint that another one is written, however many steps that is; the two newest of these are
    # kept; 0: never
    save_every_minutes: float = 10.0
    limit_val_batches: int | float = 2  # validation views: a number, or a share of them as 0.1
    enable_progress_bar: bool = True  # in a terminal; in a log a line every few seconds instead
    precision: Literal["32", "16", "bf16"] = "32"
    cuda_graph: bool = True  # on a GPU the training step is recorded once and replayed; false: launched piece by piece
    UNUSED: ClassVar[dict[str, str]] = {
        "limit_train_batches": "rays are drawn on the device, there are no training batches to limit",
        "num_sanity_val_steps": "the dataset is checked when it is loaded, before training",
    }

    def __post_init__(self) -> None:
        if self.save_every_minutes < 0.0:
            raise ConfigError(f"trainer.save_every_minutes: expected 0 or more, got {self.save_every_minutes:g}.")


@dataclass(frozen=True)
class Experiment:
    """The whole of a resolved YAML file. Raises ConfigError where its parts do not go together."""

    name: str
    dataset: Any = component("dataset")
    model: Any = component("model")
    system: Any = component("system")
    tag: str = ""
    seed: int = 42
    trial_name: str | None = None  # folder of the run under exp_dir/name; None: [tag]@[timestamp]
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def __post_init__(self) -> None:
        self._check_steps()
        self._check_losses()
        if self.system.error_guided > 0.0 and not self.model.batch_image_sampling:
            raise ConfigError(
                "system.error_guided: draws rays from all images, but model.batch_image_sampling=false wants those of "
                "a step from one. Set it to true, or system.error_guided to 0."
            )

    def _check_steps(self) -> None:
        for name in ("warmup_steps", "constant_steps"):
            steps = getattr(self.system, name)
            if steps is not None and self.trainer.max_steps <= steps:
                raise ConfigError(
                    f"trainer.max_steps: must exceed system.{name} ({steps}), got {self.trainer.max_steps}. "
                    f"Raise it, or lower system.{name}."
                )

    def _check_losses(self) -> None:
        behind = getattr(self.model, "background", None)
        if isinstance(behind, _FIELDLESS) and not self.system.loss.is_off("distortion_bg"):
            raise ConfigError(
                "system.loss.lambda_distortion_bg: needs a learned background (model.background.name=learned), got "
                f"model.background.name={registry.name_of(behind)}. Set it to 0."
            )
        for name in ("ncc", "normal_smooth"):
            if getattr(self.model, "rays_per_pixel", 1) > 1 and not self.system.loss.is_off(name):
                raise ConfigError(
                    f"system.loss.lambda_{name}: compares rays through the centres of pixels, got "
                    f"model.rays_per_pixel={self.model.rays_per_pixel}. Set one to 1, or the other to 0."
                )
        encoding = getattr(getattr(self.model, "geometry", None), "xyz_encoding_config", None)
        if isinstance(encoding, FrequencyConfig) and not self.system.loss.is_off("grid_tv"):
            raise ConfigError(
                "system.loss.lambda_grid_tv: needs model.geometry.xyz_encoding_config.otype=HashGrid, got "
                f"{registry.name_of(encoding)}. Set it to 0."
            )
        for name in _SDF_LOSSES:
            if isinstance(self.model, NeRFConfig) and not self.system.loss.is_off(name):
                raise ConfigError(
                    f"system.loss.lambda_{name}: needs a signed distance field (model.name=neus), "
                    f"got model.name={registry.name_of(self.model)}. Set it to 0."
                )


def read_experiment(paths: Sequence[str | Path], overrides: Sequence[str]) -> Experiment:
    """The checked experiment of YAML files and key=value overrides. Raises ConfigError with where a value stands."""
    sources = compose.collect(paths, overrides)
    node = compose.resolve(sources)
    try:
        return schema.parse(Experiment, node)
    except ConfigError as error:
        raise ConfigError(f"{compose.origin(sources, str(error).split(':')[0])}{error}") from None
