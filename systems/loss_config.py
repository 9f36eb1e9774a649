"""What a configuration can tell of the losses; free of torch."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar

from utils import registry
from utils.config import schema
from utils.config.limits import Range
from utils.config.retired import RetiredKey
from utils.config.schedule import Schedule
from utils.errors import ConfigError

Weight = Annotated[Schedule, Range(0.0, 1e6)]


@dataclass(frozen=True)
class LossConfig:
    """Weights of the registered losses, `lambda_<name>`: a number or a schedule; 0 switches a loss off."""

    weights: dict[str, Weight]
    # sharpness of the sparsity loss, in 1 / scene unit
    sparsity_scale: Annotated[float, Range(above=0.0, high=1e6)] = 1.0
    sparse_points_num: Annotated[int, Range(1, 10**6)] = 1024  # of them in a step
    ncc_rays: Annotated[int, Range(1, 10**6)] = 512  # of a step whose patches are compared, at most
    ncc_patch: Annotated[int, Range(3, 101)] = 11  # pixels along the side of a patch, odd
    ncc_stride: Annotated[int, Range(1, 50)] = 2  # of these, every so many-th row and column is read
    ncc_views: Annotated[int, Range(1, 1000)] = 4  # neighbours of a photograph that its patches are compared with
    # of these, the views that show a patch most alike count: others may not see it
    ncc_best: Annotated[int, Range(1, 1000)] = 2
    # a channel of an image from here on is over-exposed, and colour losses count only what is rendered darker; null: no
    # channel is
    saturated_level: Annotated[float, Range(above=0.0, high=1.0)] | None = None
    robust_scale: Annotated[float, Range(above=0.0, high=10.0)] = 0.1  # error of a colour where lambda_rgb_robust bends
    # far errors cost lambda_rgb_robust: 1 nearly their absolute value, 0 its logarithm, -2 a constant
    robust_shape: Annotated[float, Range(-10.0, 1.0)] = 1.0
    RETIRED: ClassVar[dict[str, RetiredKey]] = {
        "lambda_normal_smooth": RetiredKey(
            "a loss on normals of pixels side by side, which moved surfaces away from the truth", neutral=(0.0,)
        ),
        "normal_smooth_scale": RetiredKey("a setting of lambda_normal_smooth"),
        "lambda_grid_tv": RetiredKey(
            "a total variation of the hash grid, which made no surface better", neutral=(0.0,)
        ),
    }

    def __post_init__(self) -> None:
        if self.ncc_views < self.ncc_best:
            raise ConfigError(
                f"system.loss.ncc_views: expected at least {self.ncc_best} (system.loss.ncc_best), got "
                f"{self.ncc_views}."
            )
        if self.ncc_patch % 2 == 0:
            raise ConfigError(f"system.loss.ncc_patch: expected an odd number of pixels, got {self.ncc_patch}.")
        if 2 * self.ncc_stride >= self.ncc_patch:
            raise ConfigError(
                f"system.loss.ncc_stride: expected less than half of system.loss.ncc_patch ({self.ncc_patch}), so that "
                f"a patch has three rows, got {self.ncc_stride}."
            )

    @classmethod
    def options(cls) -> dict[str, type]:
        """The keys beside the weights, with their types."""
        return {item.name: item.type for item in fields(cls) if item.name != "weights"}

    @classmethod
    def from_config(cls, value: Any, where: str) -> "LossConfig":
        """Reads a block of `lambda_<name>: weight`. Raises ConfigError for a loss that does not exist."""
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected a block of lambda_<loss>: weight, got {schema.shown(value)}.")
        known = [f"lambda_{name.replace('-', '_')}" for name in registry.names("loss")]
        weights, options, settings = {}, {}, cls.options()
        for key, item in value.items():
            if key in settings:
                options[key] = schema.convert(settings[key], item, f"{where}.{key}")
            elif key in cls.RETIRED:
                weightless = key.startswith("lambda_") and Schedule.from_config(item, f"{where}.{key}").is_zero
                cls.RETIRED[key].check(0.0 if weightless else item, f"{where}.{key}")
            elif key in known:
                weights[key.removeprefix("lambda_")] = schema.convert(Weight, item, f"{where}.{key}")
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
