"""What every model, geometry, texture, encoding and network can be told in YAML; free of torch, so that it is checked
before torch is loaded. The classes named in `builds` receive these as their only settings."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from models.variance_config import VarianceConfig
from utils import registry
from utils.config.schema import component
from utils.errors import ConfigError
from utils.registry import name_of, register

_ONE_STEP = (
    "models are evaluated in chunks that the renderer and the exporter choose (model.ray_chunk, export.chunk_size)"
)


@register("encoding", "HashGrid", builds="models.encodings:HashGrid")
@dataclass(frozen=True)
class HashGridConfig:
    """Multi-resolution hash grid (Müller et al. 2022)."""

    n_levels: int = 16
    n_features_per_level: int = 2
    log2_hashmap_size: int = 19
    base_resolution: int = 16
    per_level_scale: float = 1.447269237440378
    include_xyz: bool = False  # the position itself, in [-1, 1], in front of the features


@register("encoding", "ProgressiveBandHashGrid", builds="models.encodings:ProgressiveBandHashGrid")
@dataclass(frozen=True)
class ProgressiveBandHashGridConfig(HashGridConfig):
    """A hash grid whose levels are opened from coarse to fine (Li et al. 2023)."""

    start_level: int = 4  # levels open at start_step
    start_step: int = 0
    update_steps: int = 1000  # one more level every so many steps

    def __post_init__(self) -> None:
        for name, least in (("start_level", 1), ("update_steps", 1), ("base_resolution", 2)):
            if getattr(self, name) < least:
                raise ConfigError(
                    f"model.geometry.xyz_encoding_config.{name}: expected at least {least}, got {getattr(self, name)}."
                )


@register("encoding", "VanillaFrequency", builds="models.encodings:Frequency")
@dataclass(frozen=True)
class FrequencyConfig:
    """Sines and cosines of octaves (Mildenhall et al. 2020, eq. 4)."""

    n_frequencies: int = 6
    include_xyz: bool = True


@register("direction", "SphericalHarmonics", builds="models.encodings:SphericalHarmonics")
@dataclass(frozen=True)
class SphericalHarmonicsConfig:
    """Real spherical harmonics of the viewing direction up to degree - 1."""

    degree: int = 4


@dataclass(frozen=True)
class _NetworkConfig:
    activation: Literal["ReLU", "Softplus"] = "ReLU"
    output_activation: Literal["none", "None", "sigmoid", "Sigmoid"] = "none"
    n_neurons: int = 64
    n_hidden_layers: int = 1


@register("network", "VanillaMLP", builds="models.mlp:MLP")
@dataclass(frozen=True)
class VanillaMLPConfig(_NetworkConfig):
    """Fully connected network with biases, in full precision."""

    sphere_init: bool = (
        False  # starts as the SDF of a sphere, with softplus in place of `activation` (Atzmon & Lipman 2020)
    )
    sphere_init_radius: float = 0.5  # fraction of model.radius
    weight_norm: bool = False
    bias: ClassVar[bool] = True
    full_precision: ClassVar[bool] = True


@register("network", "FullyFusedMLP", builds="models.mlp:MLP")
@dataclass(frozen=True)
class FullyFusedMLPConfig(_NetworkConfig):
    """Fully connected network without biases, in the precision of trainer.precision."""

    sphere_init: ClassVar[bool] = False
    sphere_init_radius: ClassVar[float] = 0.0
    weight_norm: ClassVar[bool] = False
    bias: ClassVar[bool] = False
    full_precision: ClassVar[bool] = False


@dataclass(frozen=True)
class IsosurfaceConfig:
    """How a mesh is taken from the field."""

    method: Literal["mc"] = "mc"
    resolution: int = 512  # lattice points along the side of the region
    # the value at the surface; auto: 0 of a signed distance, of a density that which rays of the test views reach where
    # they lose half of their light
    threshold: float | Literal["auto"] = "auto"
    UNUSED: ClassVar[dict[str, str]] = {"chunk": _ONE_STEP}


@register("geometry", "volume-sdf", builds="models.geometry:VolumeSDF")
@dataclass(frozen=True)
class VolumeSDFConfig:
    """Signed distance field: encoding and network."""

    xyz_encoding_config: Any = component("encoding")
    mlp_network_config: Any = component("network")
    radius: float = 1.0
    feature_dim: int = 13  # outputs of the network, the SDF included
    # finite_difference: central differences, smoother than the field and of seven queries (Li et al. 2023)
    grad_type: Literal["analytic", "finite_difference"] = "analytic"
    # step of finite_difference in scene units; progressive: the cell size of the finest open level of the grid
    finite_difference_eps: float | Literal["progressive"] = 1e-3
    # in each training step finite_difference_eps is multiplied by a random factor in [1 - jitter, 1 + jitter]; below 1
    finite_difference_jitter: float = 0.0
    isosurface: IsosurfaceConfig = field(default_factory=IsosurfaceConfig)

    def __post_init__(self) -> None:
        network = self.mlp_network_config
        if isinstance(network, _NetworkConfig) and network.output_activation.lower() != "none":
            raise ConfigError(
                "model.geometry.mlp_network_config.output_activation: expected none, since a signed distance takes "
                f"both signs and its gradient is that of the last layer; got {network.output_activation}. Leave it out."
            )
        if self.grad_type == "finite_difference":
            self._check_eps()
        self._check_jitter()

    def _check_jitter(self) -> None:
        jitter, where = self.finite_difference_jitter, "model.geometry.finite_difference_jitter"
        if not 0.0 <= jitter < 1.0:
            raise ConfigError(f"{where}: expected at least 0 and less than 1, got {jitter:g}.")
        if jitter and self.grad_type != "finite_difference":
            raise ConfigError(
                f"{where}: needs model.geometry.grad_type=finite_difference, got {self.grad_type}. Set it to 0."
            )

    def _check_eps(self) -> None:
        eps, where = self.finite_difference_eps, "model.geometry.finite_difference_eps"
        if eps == "progressive":
            if not isinstance(self.xyz_encoding_config, ProgressiveBandHashGridConfig):
                raise ConfigError(
                    f"{where}: progressive needs levels that open one by one, xyz_encoding_config.otype="
                    f"ProgressiveBandHashGrid; got {name_of(self.xyz_encoding_config)}. Change it, or give a number."
                )
        elif not 0.0 < eps < self.radius:
            raise ConfigError(
                f"{where}: expected a step in scene units between 0 and model.geometry.radius ({self.radius:g}), or "
                f"progressive; got {eps:g}. 1e-3 is a good start."
            )


@register("geometry", "volume-density", builds="models.geometry:VolumeDensity")
@dataclass(frozen=True)
class VolumeDensityConfig:
    """Density field: encoding and network."""

    xyz_encoding_config: Any = component("encoding")
    mlp_network_config: Any = component("network")
    radius: float = 1.0
    feature_dim: int = 16  # outputs of the network, the density included
    density_activation: Literal["trunc_exp", "softplus"] = "trunc_exp"
    density_bias: float = -1.0
    # null: none is taken, for a background
    isosurface: IsosurfaceConfig | None = field(default_factory=IsosurfaceConfig)


@register("texture", "volume-radiance", builds="models.texture:VolumeRadiance")
@dataclass(frozen=True)
class VolumeRadianceConfig:
    """Colour of a point seen from a direction: geometry feature, encoded direction and, for an SDF, the normal."""

    input_feature_dim: int
    dir_encoding_config: Any = component("direction")
    mlp_network_config: Any = component("network")
    color_activation: Literal["sigmoid", "none"] = "none"
    needs_normal: ClassVar[bool] = False


@register("texture", "volume-reflected-radiance", builds="models.texture:ReflectedRadiance")
@dataclass(frozen=True)
class ReflectedRadianceConfig(VolumeRadianceConfig):
    """Colour of a shiny point: as volume-radiance, but it sees the direction in which the view is reflected at the
    normal, and the cosine between the two, in place of the direction of view (Verbin et al. 2022). For SDFs."""

    roughness: float = 0.31  # of the lobe that sees the reflection; 0 for a mirror's, which noise bends where matt
    needs_normal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.roughness < math.inf:
            raise ConfigError(f"model.texture.roughness: expected 0 or more, got {self.roughness}.")


def check_normals(texture: Any, where: str) -> None:
    """Raises ConfigError where a texture, at a key, needs normals, for fields that have none."""
    if getattr(texture, "needs_normal", False):
        raise ConfigError(
            f"{where}.name: expected a texture for a density, which has no normals, got {name_of(texture)}. Use "
            f"volume-radiance."
        )


@dataclass(frozen=True)
class VolumeModelConfig:
    """What NeuS and NeRF share: the region, the samples, the occupancy grid, the background."""

    geometry: Any = component("geometry")
    texture: Any = component("texture")
    # the region is the cube [-radius, radius]^3 of the scene; with a learned background the ball of that radius
    radius: float = 1.0
    num_samples_per_ray: int = 1024  # samples along the diagonal of the region: sets the step length
    train_num_rays: int = 256  # with num_samples_per_ray: the sample budget of a training step
    max_train_num_rays: int = 8192
    # 1 or an even number of rays through random places of a pixel, whose mean is compared with it: edges are sharp
    # where one ray would learn the blur of a pixel; where there are several, views are rendered with sixteen or more
    rays_per_pixel: int = 1
    dynamic_ray_sampling: bool = True  # as many rays as the sample budget holds; false: train_num_rays
    batch_image_sampling: bool = True  # rays of a step come from all images; false: from one
    randomized: bool = True  # samples are jittered along the ray
    grid_prune: bool = True
    grid_prune_occ_thre: float = 0.001
    grid_resolution: int = 128
    grid_update_every: int = 16  # steps
    # cells are opened again along rays that meet nothing though the mask, or without masks the colour, shows something
    # there, from grid_warmup_steps on: a hole that was pruned heals
    grid_reseed: bool = False
    # cells that fewer training cameras have in frame are left empty: what no photograph shows is free to hold anything
    grid_min_views: int = 0
    grid_warmup_steps: int = 256  # until then every cell is evaluated, afterwards a sample of them
    ray_chunk: int = 4096  # rays rendered at a time outside training, 40 times as many on a GPU
    background: Any = component("background", preset="color")  # what lies outside of the region
    # behind rays, and photographs with alpha, where nothing else is; random: one per step, and white in views.
    # A learned background takes white for random
    background_color: Literal["random", "white", "black"] = "random"
    learned_background: bool = False  # older files: true is the same as background: learned
    num_samples_per_ray_bg: int | None = None  # older files, with learned_background: num_samples_per_ray of it
    geometry_bg: Any = component("geometry", default=None)  # likewise its geometry
    texture_bg: Any = component("texture", default=None)  # likewise its texture
    # auto: triton on a GPU, numba on a CPU; tinycudann, where it is installed: for features of the hash grid and, in
    # 16 bits, for ReLU networks without biases, otherwise as auto
    backend: Literal["auto", "triton", "numba", "reference", "tinycudann"] = "auto"

    def __post_init__(self) -> None:
        if isinstance(self.geometry, VolumeDensityConfig) and self.geometry.isosurface is None:
            raise ConfigError(
                "model.geometry.isosurface: expected a block, since a mesh is taken from this field; got null. Leave "
                "it out for its defaults."
            )
        if self.rays_per_pixel != 1 and (self.rays_per_pixel < 2 or self.rays_per_pixel % 2):
            raise ConfigError(f"model.rays_per_pixel: expected 1 or an even number, got {self.rays_per_pixel}.")
        if self.grid_reseed and not self.grid_prune:
            raise ConfigError(
                "model.grid_reseed: opens cells that were pruned, but model.grid_prune=false keeps them all. Set "
                "grid_prune to true or grid_reseed to false."
            )
        learned = registry.find("background", "learned").target
        object.__setattr__(self, "background", learned.from_older_keys(self))
        for name in ("num_samples_per_ray_bg", "geometry_bg", "texture_bg"):
            object.__setattr__(self, name, None)
        object.__setattr__(self, "learned_background", False)

    @property
    def shown_over(self) -> Literal["random", "white", "black"]:
        """The colour that photographs with alpha, and rays that meet nothing, are shown over in training."""
        return self.background.shown_over(self.background_color)


@register("model", "neus", builds="models.neus:NeuS")
@dataclass(frozen=True)
class NeuSConfig(VolumeModelConfig):
    """NeuS (Wang et al. 2021): volume rendering of a signed distance field."""

    cos_anneal_end: int = 0  # step at which the rendered opacity depends fully on the angle of view
    variance: VarianceConfig = field(default_factory=VarianceConfig)


@register("model", "nerf", builds="models.nerf:NeRF")
@dataclass(frozen=True)
class NeRFConfig(VolumeModelConfig):
    """NeRF (Mildenhall et al. 2020) on a hash grid."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_normals(self.texture, "model.texture")
