"""What every model, geometry and texture can be told in YAML; free of torch, so that it is checked before torch is
loaded. The classes named in `builds` receive these as their only settings."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

from models.network_configs import NetworkConfig, ProgressiveBandHashGridConfig
from models.variance_config import VarianceConfig
from utils import registry
from utils.config.limits import Interval, Length, Range, Share, Step
from utils.config.retired import RetiredKey
from utils.config.schema import component
from utils.errors import ConfigError
from utils.registry import name_of, register

_ONE_STEP = (
    "models are evaluated in chunks that the renderer and the exporter choose (model.ray_chunk, export.chunk_size)"
)


MAX_SAMPLES = 2**28  # of a training step: each takes some hundred bytes


@dataclass(frozen=True)
class IsosurfaceConfig:
    """How a mesh is taken from the field."""

    method: Literal["mc"] = "mc"
    resolution: Annotated[int, Range(2, 4096)] = 512  # lattice points along the side of the region
    # the value at the surface; auto: 0 of a signed distance, of a density that which rays of the test views reach where
    # they lose half of their light
    threshold: Annotated[float, Range(-1e6, 1e6)] | Literal["auto"] = "auto"
    UNUSED: ClassVar[dict[str, str]] = {"chunk": _ONE_STEP}


@register("geometry", "volume-sdf", builds="models.geometry:VolumeSDF")
@dataclass(frozen=True)
class VolumeSDFConfig:
    """Signed distance field: encoding and network."""

    xyz_encoding_config: Any = component("encoding")
    mlp_network_config: Any = component("network")
    radius: Length | Literal["auto"] = 1.0  # auto: model.radius
    feature_dim: Annotated[int, Range(1, 1024)] = 13  # outputs of the network, the SDF included
    # finite_difference: central differences, smoother than the field and of seven queries (Li et al. 2023)
    grad_type: Literal["analytic", "finite_difference"] = "analytic"
    # step of finite_difference in scene units; progressive: the cell size of the finest open level of the grid
    finite_difference_eps: Length | Literal["progressive"] = 1e-3
    # in each training step finite_difference_eps is multiplied by a random factor in [1 - jitter, 1 + jitter]; below 1
    finite_difference_jitter: Annotated[float, Range(0.0, below=1.0)] = 0.0
    isosurface: IsosurfaceConfig = field(default_factory=IsosurfaceConfig)
    is_sdf: ClassVar[bool] = True

    def __post_init__(self) -> None:
        network = self.mlp_network_config
        if isinstance(network, NetworkConfig) and network.output_activation.lower() != "none":
            raise ConfigError(
                "model.geometry.mlp_network_config.output_activation: expected none, since a signed distance takes "
                f"both signs and its gradient is that of the last layer; got {network.output_activation}. Leave it out."
            )
        if self.grad_type == "finite_difference":
            self._check_eps()
        self._check_jitter()

    def _check_jitter(self) -> None:
        if self.finite_difference_jitter and self.grad_type != "finite_difference":
            raise ConfigError(
                "model.geometry.finite_difference_jitter: needs model.geometry.grad_type=finite_difference, got "
                f"{self.grad_type}. Set it to 0."
            )

    def _check_eps(self) -> None:
        eps, where = self.finite_difference_eps, "model.geometry.finite_difference_eps"
        if eps == "progressive":
            if not isinstance(self.xyz_encoding_config, ProgressiveBandHashGridConfig):
                raise ConfigError(
                    f"{where}: progressive needs levels that open one by one, xyz_encoding_config.otype="
                    f"ProgressiveBandHashGrid; got {name_of(self.xyz_encoding_config)}. Change it, or give a number."
                )
        elif self.radius != "auto" and eps >= self.radius:
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
    radius: Length | Literal["auto"] = 1.0  # auto: model.radius
    feature_dim: Annotated[int, Range(1, 1024)] = 16  # outputs of the network, the density included
    density_activation: Literal["trunc_exp", "softplus"] = "trunc_exp"
    density_bias: Annotated[float, Range(-100.0, 100.0)] = -1.0
    # null: none is taken, for a background
    isosurface: IsosurfaceConfig | None = field(default_factory=IsosurfaceConfig)
    is_sdf: ClassVar[bool] = False


def is_sdf(geometry: Any) -> bool:
    """Whether the config of a geometry describes a signed distance; one of your own says so as VolumeSDFConfig does."""
    return getattr(geometry, "is_sdf", False)


@register("texture", "volume-radiance", builds="models.texture:VolumeRadiance")
@dataclass(frozen=True)
class VolumeRadianceConfig:
    """Colour of a point seen from a direction: geometry feature, encoded direction and, for an SDF, the normal."""

    input_feature_dim: Annotated[int, Range(1, 1027)]
    dir_encoding_config: Any = component("direction")
    mlp_network_config: Any = component("network")
    color_activation: Literal["sigmoid", "none"] = "none"
    needs_normal: ClassVar[bool] = False


@register("texture", "volume-reflected-radiance", builds="models.texture:ReflectedRadiance")
@dataclass(frozen=True)
class ReflectedRadianceConfig(VolumeRadianceConfig):
    """Colour of a shiny point: as volume-radiance, but it sees the direction in which the view is reflected at the
    normal, and the cosine between the two, in place of the direction of view (Verbin et al. 2022). For SDFs."""

    # of the lobe that sees the reflection; 0 for a mirror's, which noise bends where matt
    roughness: Annotated[float, Range(0.0, 100.0)] = 0.31
    needs_normal: ClassVar[bool] = True


@register("texture", "volume-gated-radiance", builds="models.texture:GatedRadiance")
@dataclass(frozen=True)
class GatedRadianceConfig(ReflectedRadianceConfig):
    """Colour of a point that may be shiny or matt: it sees a mixture of the reflected direction and the direction of
    view, by a share that each point learns as its last geometry feature (after Wang et al. 2023). For SDFs."""

    input_feature_dim: Annotated[
        int, Range(5, 1027)
    ]  # the distance, the share, the normal: model.geometry.feature_dim + 3
    # share of the reflected direction where the last feature is 0, as it is on the surface at first; from a small one a
    # mirror may never be found, since the colours first learn what the direction of view tells
    reflected_at_start: Annotated[float, Range(above=0.0, below=1.0)] = 0.8


def check_pair(geometry: Any, texture: Any, geometry_key: str, texture_key: str) -> None:
    """Raises ConfigError where a texture, at one key, cannot read what the geometry at the other one gives."""
    signed = is_sdf(geometry)
    if getattr(texture, "needs_normal", False) and not signed:
        raise ConfigError(
            f"{texture_key}.name: expected a texture for a density, which has no normals, got {name_of(texture)}. Use "
            f"volume-radiance."
        )
    given = getattr(geometry, "feature_dim", 0) + 3 * signed
    if isinstance(texture, VolumeRadianceConfig) and hasattr(geometry, "feature_dim"):
        if texture.input_feature_dim == given:
            return
        raise ConfigError(
            f"{texture_key}.input_feature_dim: expected {given} ({geometry_key}.feature_dim"
            f"{' and the 3 of the normal' if signed else ''}), got {texture.input_feature_dim}."
        )


@dataclass(frozen=True)
class VolumeModelConfig:
    """What NeuS and NeRF share: the region, the samples, the occupancy grid, the background."""

    geometry: Any = component("geometry")
    texture: Any = component("texture")
    # the region is the cube [-radius, radius]^3 of the scene; with a learned background the ball of that radius; auto:
    # what alpha, masks, the dataset or the cameras tell of the object's size, and variance.init_val counts in radii
    radius: Length | Literal["auto"] = 1.0
    # samples along the diagonal of the region: sets the step length
    num_samples_per_ray: Annotated[int, Range(1, 65536)] = 1024
    # with num_samples_per_ray: the sample budget of a training step
    train_num_rays: Annotated[int, Range(1, 10**6)] = 256
    max_train_num_rays: Annotated[int, Range(1, 10**6)] = 8192
    # 1 or an even number of rays through random places of a pixel, whose mean is compared with it: edges are sharp
    # where one ray would learn the blur of a pixel; where there are several, views are rendered with sixteen or more
    rays_per_pixel: Annotated[int, Range(1, 256)] = 1
    # which pixels of a view these are for: those on edges of colour, opacity or depth, while one ray through its centre
    # is enough for another; or all of them
    view_rays: Literal["edges", "all"] = "edges"
    dynamic_ray_sampling: bool = True  # as many rays as the sample budget holds; false: train_num_rays
    batch_image_sampling: bool = True  # rays of a step come from all images; false: from one
    randomized: bool = True  # samples are jittered along the ray
    grid_prune: bool = True
    grid_prune_occ_thre: Share = 0.001
    # what is left of the value of a cell each time that another is found in it. With less, cells that the surface has
    # left are empty sooner, and their samples go to more rays; with more, what is hollow is longer looked at
    grid_decay: Share = 0.95
    grid_resolution: Annotated[int, Range(4, 1024)] = 128
    grid_update_every: Interval = 16  # steps
    # cells that fewer training cameras have in frame are left empty: what no photograph shows is free to hold anything
    grid_min_views: Annotated[int, Range(0, 10**6)] = 0
    grid_warmup_steps: Step = 256  # until then every cell is evaluated, afterwards a sample of them
    # rays rendered at a time outside training, 40 times as many on a GPU
    ray_chunk: Annotated[int, Range(1, 10**7)] = 4096
    background: Any = component("background", preset="color")  # what lies outside of the region
    # behind rays, and photographs with alpha, where nothing else is; random: one per step, and white in views.
    # A learned background takes white for random
    background_color: Literal["random", "white", "black"] = "random"
    learned_background: bool = False  # older files: true is the same as background: learned
    # older files, with learned_background: num_samples_per_ray of it
    num_samples_per_ray_bg: Annotated[int, Range(1, 65536)] | None = None
    geometry_bg: Any = component("geometry", default=None)  # likewise its geometry
    texture_bg: Any = component("texture", default=None)  # likewise its texture
    # auto: triton on a GPU, numba on a CPU; tinycudann, where it is installed: for features of the hash grid and, in
    # 16 bits, for ReLU networks without biases, otherwise as auto
    backend: Literal["auto", "triton", "numba", "reference", "tinycudann"] = "auto"
    RETIRED: ClassVar[dict[str, RetiredKey]] = {
        "grid_reseed": RetiredKey("a way to open pruned cells again, which made no surface better", neutral=(False,))
    }

    def __post_init__(self) -> None:
        check_pair(self.geometry, self.texture, "model.geometry", "model.texture")
        self._check_radius()
        if self.train_num_rays * self.num_samples_per_ray > MAX_SAMPLES:
            raise ConfigError(
                f"model.train_num_rays: expected at most {MAX_SAMPLES} samples in a step, got {self.train_num_rays} "
                f"times {self.num_samples_per_ray} (model.num_samples_per_ray)."
            )
        if isinstance(self.geometry, VolumeDensityConfig) and self.geometry.isosurface is None:
            raise ConfigError(
                "model.geometry.isosurface: expected a block, since a mesh is taken from this field; got null. Leave "
                "it out for its defaults."
            )
        if self.rays_per_pixel != 1 and self.rays_per_pixel % 2:
            raise ConfigError(f"model.rays_per_pixel: expected 1 or an even number, got {self.rays_per_pixel}.")
        learned = registry.find("background", "learned").target
        object.__setattr__(self, "background", learned.from_older_keys(self))
        for name in ("num_samples_per_ray_bg", "geometry_bg", "texture_bg"):
            object.__setattr__(self, name, None)
        object.__setattr__(self, "learned_background", False)

    def _check_radius(self) -> None:
        """Gives the geometry the radius where that is auto. Raises ConfigError where it has another one."""
        own = getattr(self.geometry, "radius", self.radius)
        if own == "auto" and self.radius != "auto":
            object.__setattr__(self, "geometry", replace(self.geometry, radius=self.radius))
        elif own != self.radius:
            expected, got = (f"{value:g}" if value != "auto" else value for value in (self.radius, own))
            raise ConfigError(
                f"model.geometry.radius: expected {expected} (model.radius), since the field fills the region; got "
                f"{got}. Set it to ${{model.radius}}."
            )

    @property
    def shown_over(self) -> Literal["random", "white", "black"]:
        """The colour that photographs with alpha, and rays that meet nothing, are shown over in training."""
        return self.background.shown_over(self.background_color)


@register("model", "neus", builds="models.neus:NeuS")
@dataclass(frozen=True)
class NeuSConfig(VolumeModelConfig):
    """NeuS (Wang et al. 2021): volume rendering of a signed distance field."""

    # how many lighting.json of prepare.py tells of, where the object was moved and lamps stood still; 0: lamps stand
    # still in the scene
    lightings: Annotated[int, Range(0, 64)] = 0
    cos_anneal_end: Step = 0  # step at which the rendered opacity depends fully on the angle of view
    variance: VarianceConfig = field(default_factory=VarianceConfig)

    def __post_init__(self) -> None:
        if not is_sdf(self.geometry):
            raise ConfigError(
                f"model.geometry.name: model.name={name_of(self)} needs a signed distance, volume-sdf; got "
                f"{name_of(self.geometry)}. Change it, or set model.name=nerf."
            )
        super().__post_init__()


@register("model", "nerf", builds="models.nerf:NeRF")
@dataclass(frozen=True)
class NeRFConfig(VolumeModelConfig):
    """NeRF (Mildenhall et al. 2020) on a hash grid."""

    def __post_init__(self) -> None:
        if is_sdf(self.geometry):
            raise ConfigError(
                f"model.geometry.name: model.name={name_of(self)} needs a density, volume-density; got "
                f"{name_of(self.geometry)}. Change it, or set model.name=neus."
            )
        super().__post_init__()
