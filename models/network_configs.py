"""What encodings and networks can be told in YAML; free of torch, like `models.configs`."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from utils.config.limits import Interval, Range, Step
from utils.errors import ConfigError
from utils.registry import register

MAX_CELLS = 2**22  # along the side of the finest level, where 32 bits still tell neighbours apart


@register("encoding", "HashGrid", builds="models.encodings:HashGrid")
@dataclass(frozen=True)
class HashGridConfig:
    """Multi-resolution hash grid (Müller et al. 2022)."""

    n_levels: Annotated[int, Range(1, 32)] = 16
    n_features_per_level: Annotated[int, Range(1, 16)] = 2
    log2_hashmap_size: Annotated[int, Range(4, 28)] = 19
    base_resolution: Annotated[int, Range(2, 4096)] = 16
    per_level_scale: Annotated[float, Range(1.0, 8.0)] = 1.447269237440378
    include_xyz: bool = False  # the position itself, in [-1, 1], in front of the features

    def __post_init__(self) -> None:
        finest = self.base_resolution * self.per_level_scale ** (self.n_levels - 1)
        if finest > MAX_CELLS:
            raise ConfigError(
                f".per_level_scale: expected at most {MAX_CELLS} cells along the side of the finest "
                f"level, got {finest:.3g} (base_resolution={self.base_resolution} times per_level_scale="
                f"{self.per_level_scale:g} for each of n_levels={self.n_levels})."
            )


@register("encoding", "ProgressiveBandHashGrid", builds="models.encodings:ProgressiveBandHashGrid")
@dataclass(frozen=True)
class ProgressiveBandHashGridConfig(HashGridConfig):
    """A hash grid whose levels are opened from coarse to fine (Li et al. 2023)."""

    start_level: Annotated[int, Range(1, 32)] = 4  # levels open at start_step
    start_step: Step = 0
    update_steps: Interval = 1000  # one more level opens every `update_steps` steps


@register("encoding", "VanillaFrequency", builds="models.encodings:Frequency")
@dataclass(frozen=True)
class FrequencyConfig:
    """Sines and cosines of octaves (Mildenhall et al. 2020, eq. 4)."""

    n_frequencies: Annotated[int, Range(1, 24)] = 6
    include_xyz: bool = True


@register("direction", "SphericalHarmonics", builds="models.encodings:SphericalHarmonics")
@dataclass(frozen=True)
class SphericalHarmonicsConfig:
    """Real spherical harmonics of the viewing direction up to degree - 1."""

    degree: Annotated[int, Range(1, 8)] = 4


@dataclass(frozen=True)
class NetworkConfig:
    """What all fully connected networks can be told."""

    activation: Literal["ReLU", "Softplus"] = "ReLU"
    output_activation: Literal["none", "None", "sigmoid", "Sigmoid"] = "none"
    n_neurons: Annotated[int, Range(1, 4096)] = 64
    n_hidden_layers: Annotated[int, Range(0, 32)] = 1


@register("network", "VanillaMLP", builds="models.mlp:MLP")
@dataclass(frozen=True)
class VanillaMLPConfig(NetworkConfig):
    """Fully connected network with biases, in full precision."""

    # starts as the SDF of a sphere, with softplus in place of `activation` (Atzmon & Lipman 2020)
    sphere_init: bool = False
    sphere_init_radius: Annotated[float, Range(above=0.0, high=1.0)] = 0.5  # fraction of model.radius
    weight_norm: bool = False
    bias: ClassVar[bool] = True
    full_precision: ClassVar[bool] = True


@register("network", "FullyFusedMLP", builds="models.mlp:MLP")
@dataclass(frozen=True)
class FullyFusedMLPConfig(NetworkConfig):
    """Fully connected network without biases, in the precision of trainer.precision."""

    sphere_init: ClassVar[bool] = False
    sphere_init_radius: ClassVar[float] = 0.0
    weight_norm: ClassVar[bool] = False
    bias: ClassVar[bool] = False
    full_precision: ClassVar[bool] = False
