"""What an experiment can be told in YAML beside its dataset and model; free of torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from models.background_configs import ColorBackgroundConfig, NoBackgroundConfig
from models.configs import is_sdf
from systems.loss_config import LossConfig, Weight
from systems.precedence import check_optimizer_args, tell_unused_scene
from systems.schedules import ConstantLR, SchedulerConfig
from utils import registry
from utils.config import compose, schema, switches
from utils.config.difference import flatten
from utils.config.limits import FolderName, Interval, OneOf, Range, Share, Step
from utils.config.refusals import key_of, of_what_is_read
from utils.config.schedule import Schedule
from utils.config.schema import component
from utils.config.text_keys import text_keys
from utils.errors import ConfigError
from utils.registry import register

# Losses that read a signed distance. A model that is registered elsewhere is asked when it renders, in systems.losses.
_FIELDLESS = NoBackgroundConfig, ColorBackgroundConfig  # backgrounds without samples
_SDF_LOSSES = ("eikonal", "sparsity", "curvature", "ncc", "sparse_points")

Rate = Annotated[float, Range(0.0, 10.0)]  # of learning, or of decay
Beta = Annotated[float, Range(0.0, below=1.0)]
Eps = Annotated[float, Range(above=0.0, high=1.0)]


@dataclass(frozen=True)
class OptimizerArgs:
    """Settings of one parameter group."""

    lr: Rate = 0.01
    betas: tuple[Beta, Beta] = (0.9, 0.99)
    eps: Eps = 1e-15
    # None: what torch's optimiser of that name does (AdamW 0.01, Adam 0). Of geometry it draws features of the grid
    # towards 0, and thus to less detail
    weight_decay: Rate | None = None


@dataclass(frozen=True)
class GroupArgs:
    """What one part of the model (geometry, texture, variance, exposure, optics, poses) changes of `optimizer.args`."""

    lr: Rate | None = None
    betas: tuple[Beta, Beta] | None = None
    eps: Eps | None = None
    weight_decay: Rate | None = None


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
    vignette: bool = False  # learns how each camera darkens its corners; it takes images of one size and focal length
    response: bool = False  # learns a curve of each channel of each camera, from colours of the scene to those it shows
    # weight of the mean square of what these three learn, for what images do not tell. With 0.01, squared errors that
    # weigh 10 and a mean squared colour of 0.1, gains fall 1 % short
    photometric_prior: Weight = Schedule(((0, 0.01),))
    # learning rate of corrections of the training cameras, six numbers for each and a focal length for each lens, in
    # radians and shares of their distance: a number or a schedule, which replaces system.scheduler; 0: they stay
    refine_poses: Annotated[Schedule, Range(0.0, 1.0)] = Schedule(((0, 0.0),))
    error_guided: Share = 0.0  # share of the rays that go where colours are most wrong, in cells of 16 x 16 pixels
    scheduler: SchedulerConfig = field(default_factory=lambda: SchedulerConfig(ConstantLR()))
    constant_steps: Step | None = None  # for interpolation in the scheduler
    # likewise: the learning rate at the end, as a share of that of the start
    final_lr_share: Annotated[float, Range(above=0.0, high=1.0)] | None = None
    warmup_steps: Step | None = None  # likewise

    @property
    def learned_parts(self) -> list[str]:
        """What is learned of photographs beside the model, by the names of a state dict and of `optimizer.params`."""
        asked = {
            "exposure": self.exposure,
            "optics": self.vignette or self.response,
            "poses": not self.refine_poses.is_zero,
        }
        return [name for name, is_asked in asked.items() if is_asked]


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
    every_n_train_steps: Interval = 5000


@dataclass(frozen=True)
class ExportConfig:
    """What the test pass leaves behind."""

    # points per query of the field during mesh extraction on a GPU; a CPU takes 2^17 at most
    chunk_size: Annotated[int, Range(1, 10**9)] = 2**21
    export_vertex_color: bool = True
    formats: tuple[Annotated[str, OneOf("exporter")], ...] = ("obj", "ply")
    # faces without a corner in the frame of a training camera are dropped, or without one that such a camera sees
    crop: Literal["none", "frame", "visible"] = "none"
    # an SDF is cut flat at what the object stands on, and is open or closed there; caves that open only downwards are
    # filled, and it is closed where the region ends
    bottom: Literal["none", "open", "closed"] = "none"
    count_views: bool = False  # of training photographs that see a vertex: `views` in a ply, and unseen_area_share
    min_component: Share = 0.05  # components below this share of the largest one's area are dropped and reported
    min_shown_component: Share = 0.001  # the same where masks or alpha show that a component belongs to the object
    # holes up to this perimeter, as a share of the diagonal of the mesh's box, are closed
    close_holes: Annotated[float, Range(0.0, 10.0)] = 0.0
    # Newton steps that take each vertex onto the zero set of an SDF, within its cell
    projection_steps: Annotated[int, Range(0, 100)] = 1
    # a mesh of more is decimated; None: all are kept, or 100000 of what holds a texture
    max_faces: Annotated[int, Range(4, 10**9)] | None = None
    # smaller meshes as glb beside the others, of so many faces at most, with a normal map of the full mesh where
    # they have a texture: lods=[100000,20000,5000]
    lods: tuple[Annotated[int, Range(4, 10**9)], ...] = ()
    # how many metres a unit of the cameras is, for glb, stl and usdz; None: what the dataset tells (prepare.py --scale)
    metres_per_unit: Annotated[float, Range(above=0.0, high=1e9)] | None = None
    # a picture for obj, glb and usdz, of the colours that the model has on the surface, or blended from the training
    # views
    texture: Literal["none", "field", "views"] = "none"
    texture_size: Annotated[int, Range(16, 16384)] = 2048  # texels along each side of it
    # baked: colours with the light of the photographs; pbr: albedo and roughness without it, in glb and usdz, for any
    # light
    material: Literal["baked", "pbr"] = "baked"
    video_fps: Annotated[int, Range(1, 240)] = 30
    report: bool = True  # save/report.html, figures, views, curves and the mesh in one file that needs no network

    @property
    def packages(self) -> list[str]:
        """What it needs of the packages that not every machine has, see `utils.packages`."""
        asked = {"xatlas": self.texture != "none", "pxr": "usdz" in self.formats}
        return [name for name, is_asked in asked.items() if is_asked]

    def __post_init__(self) -> None:
        if self.texture != "none" and not {"obj", "glb", "usdz"} & set(self.formats):
            raise ConfigError(
                f"export.texture={self.texture}: needs a format that holds a picture, got export.formats="
                f"[{','.join(self.formats)}]. Add obj, glb or usdz, or set export.texture=none."
            )
        if self.material == "pbr" and not {"glb", "usdz"} & set(self.formats):
            raise ConfigError(
                f"export.material=pbr: needs a format that holds materials, got export.formats="
                f"[{','.join(self.formats)}]. Add glb or usdz, or set export.material=baked."
            )
        if self.material == "pbr" and self.texture == "none":
            raise ConfigError(
                "export.material=pbr: needs a texture, got export.texture=none. Set export.texture=views, or field."
            )


@dataclass(frozen=True)
class TrainerConfig:
    """The training loop."""

    max_steps: Interval = 20000
    log_every_n_steps: Interval = 100
    val_check_interval: Interval = 5000  # steps
    # minutes after a checkpoint that another one is written, however many steps that is; the two newest of these are
    # kept; 0: never
    save_every_minutes: Annotated[float, Range(0.0, 1e6)] = 10.0
    # validation views: a number, or a share of them as 0.1
    limit_val_batches: Annotated[int, Range(0, 10**6)] | Share = 2
    enable_progress_bar: bool = True  # in a terminal; in a log a line every few seconds instead
    precision: Literal["32", "16", "bf16"] = "32"
    cuda_graph: bool = True  # on a GPU the training step is recorded once and replayed; false: launched piece by piece
    UNUSED: ClassVar[dict[str, str]] = {
        "limit_train_batches": "rays are drawn on the device, there are no training batches to limit",
        "num_sanity_val_steps": "the dataset is checked when it is loaded, before training",
    }


@dataclass(frozen=True)
class Experiment:
    """The whole of a resolved YAML file. Raises ConfigError where its parts do not go together."""

    name: Annotated[str, FolderName()]  # of the folder below exp_dir
    dataset: Any = component("dataset")
    model: Any = component("model")
    system: Any = component("system")
    tag: Annotated[str, FolderName(empty=True)] = ""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 42
    # folder of the run under exp_dir/name; None: [tag]@[timestamp]
    trial_name: Annotated[str, FolderName(also="@")] | None = None
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

        poses = self.system.optimizer.params.get("poses")
        if poses is not None and poses.lr is not None:
            raise ConfigError(
                "system.optimizer.params.poses.lr: has no effect, since system.refine_poses is the learning rate of "
                "the cameras, a number or a schedule. Set that instead."
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
        geometry = getattr(self.model, "geometry", None)
        for name in _SDF_LOSSES:
            if geometry is not None and not is_sdf(geometry) and not self.system.loss.is_off(name):
                raise ConfigError(
                    f"system.loss.lambda_{name}: needs a signed distance field (model.name=neus), "
                    f"got model.name={registry.name_of(self.model)}. Set it to 0."
                )


def read_sources(paths: Sequence[str | Path], overrides: Sequence[str]) -> list[compose.Source]:
    """YAML files and key=value overrides, in the order in which they merge. Raises ConfigError."""
    return switches.drop_replaced(compose.collect(paths, overrides, text_keys(Experiment)), Experiment)


def experiment_of(sources: Sequence[compose.Source]) -> Experiment:
    """The checked experiment that sources describe. Raises ConfigError with where a value stands."""
    node = compose.resolve(sources)
    try:
        experiment = schema.parse(Experiment, node)
        check_optimizer_args(sources, experiment)
        tell_unused_scene(sources)
        return experiment
    except ConfigError as refused:
        error = of_what_is_read(sources, Experiment, node, refused)
        key, text = key_of(error), str(error).removesuffix(".")
        if "unknown key. Known" in text and (longer := _same_last_part(key, node)):
            raise ConfigError(f"{compose.origin(sources, key)}{key}: unknown key. Did you mean '{longer}'?") from None
        inputs = compose.computed_from(sources, key)
        message = f"{text}{inputs}." if inputs else error
        raise ConfigError(f"{compose.origin(sources, key)}{message}") from None


def _same_last_part(key: str, node: dict[str, Any]) -> str | None:
    """The key of a tree that was typed with slashes for dots, else the only one with the same last part, such as
    trainer.max_steps for max_steps."""
    dotted = key.replace("/", ".")
    found = [other for other in flatten(node) if other != key and other.split(".")[-1] == dotted.split(".")[-1]]
    return dotted if dotted in found else found[0] if len(found) == 1 else None


def read_experiment(paths: Sequence[str | Path], overrides: Sequence[str]) -> Experiment:
    """The checked experiment of YAML files and key=value overrides. Raises ConfigError with where a value stands."""
    return experiment_of(read_sources(paths, overrides))
