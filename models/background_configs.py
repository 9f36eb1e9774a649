"""What can lie outside of the region of a model, as told in YAML; free of torch, like `models.configs`."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from models.configs import VolumeDensityConfig, VolumeModelConfig, VolumeRadianceConfig, check_pair, is_sdf
from models.network_configs import FullyFusedMLPConfig, HashGridConfig, SphericalHarmonicsConfig
from utils import registry
from utils.config.limits import Range, Share
from utils.config.schema import component
from utils.errors import ConfigError
from utils.registry import register

Color = Literal["random", "white", "black"]
# Keys of instant-nsr-pl, inside `model` and beside learned_background: true, for keys of the component.
_OLDER = {"num_samples_per_ray_bg": "num_samples_per_ray", "geometry_bg": "geometry", "texture_bg": "texture"}


@register("background", "none", builds="models.background:no_field")
@dataclass(frozen=True)
class NoBackgroundConfig:
    """Nothing: rays end in black, and photographs with alpha are shown over black, whatever background_color says."""

    def shown_over(self, color: Color) -> Color:
        """The colour behind photographs with alpha, and behind rays that meet nothing."""
        return "black"


@register("background", "color", builds="models.background:no_field")
@dataclass(frozen=True)
class ColorBackgroundConfig:
    """One colour, model.background_color, behind rays and behind photographs with alpha."""

    def shown_over(self, color: Color) -> Color:
        """The colour behind photographs with alpha, and behind rays that meet nothing."""
        return color


@register("background", "learned", builds="models.background:LearnedBackground")
@dataclass(frozen=True)
class LearnedBackgroundConfig:
    """A density field of all that lies outside of the region, contracted into a ball (Barron et al. 2022).

    Photographs are compared whole, those with alpha over background_color."""

    # intervals from where a ray leaves the region to far, the shortest first
    num_samples_per_ray: Annotated[int, Range(1, 65536)] = 256
    # from near to where it enters the region, the shortest last. 0: nothing lies there; haze in front of a plain
    # surface can look right from every camera, so a surface is found better without
    num_samples_in_front: Annotated[int, Range(0, 65536)] = 0
    # with both numbers: the sample budget of a training step. Intervals in empty cells take none of it; a ray that does
    # not fit leaves the losses
    train_num_rays: Annotated[int, Range(1, 10**6)] = 1024
    # cells of its own occupancy grid along the diameter of the ball
    grid_resolution: Annotated[int, Range(4, 1024)] = 128
    grid_prune_occ_thre: Share = 0.01
    # volume-density; its radius has no effect, since positions are contracted. Coarse on purpose: fine cells behind the
    # region can hold what each photograph shows there, and then the surface in the region is not found
    geometry: Any = component(
        "geometry",
        default=VolumeDensityConfig(
            HashGridConfig(n_levels=7, log2_hashmap_size=18, per_level_scale=1.5),
            FullyFusedMLPConfig(),
            feature_dim=8,
            isosurface=None,
        ),
    )
    # null: the same colour from all sides (SphericalHarmonics of degree 1), for the same reason, by a FullyFusedMLP in
    # its defaults, ending in a sigmoid
    texture: Any = component("texture", default=None)

    def __post_init__(self) -> None:
        _check_fields(self.geometry, self.texture, "model.background.geometry", "model.background.texture")
        if self.texture is None:
            directions, network = SphericalHarmonicsConfig(degree=1), FullyFusedMLPConfig()
            texture = VolumeRadianceConfig(self.geometry.feature_dim, directions, network, "sigmoid")
            object.__setattr__(self, "texture", texture)

    def shown_over(self, color: Color) -> Color:
        """The colour behind photographs with alpha: a fixed one, since what changes with each step is not learned."""
        return "white" if color == "random" else color

    @classmethod
    def from_older_keys(cls, model: VolumeModelConfig) -> Any:
        """The background that a model asks for, be it by `background` or by the keys that older files have instead.

        Raises ConfigError where it asks for two, or names a part of what it does not ask for."""
        given = {key: getattr(model, old) for old, key in _OLDER.items() if getattr(model, old) is not None}
        first = next((old for old in _OLDER if getattr(model, old) is not None), None)
        if not model.learned_background:
            if first is not None:
                raise ConfigError(
                    f"model.{first}: goes with model.learned_background=true, which is not set. Set it, leave this key "
                    f"out, or write {_OLDER[first]} into model.background, beside its name: learned."
                )
            return model.background
        if model.background == cls() and not given:
            return model.background
        if model.background != ColorBackgroundConfig():
            raise ConfigError(
                f"model.{first or 'learned_background'}: model.background describes another background. Give one of "
                f"the two: older keys go into model.background without their _bg, beside its name: learned."
            )
        geometry = given.get("geometry", cls().geometry)
        _check_fields(geometry, given.get("texture"), "model.geometry_bg", "model.texture_bg")
        return cls(**given)


def _check_fields(geometry: Any, texture: Any | None, geometry_key: str, texture_key: str) -> None:
    """Raises ConfigError where the fields at two keys do not make a background."""
    if is_sdf(geometry):
        raise ConfigError(f"{geometry_key}.name: expected a density, volume-density, got {registry.name_of(geometry)}.")
    if texture is not None:
        check_pair(geometry, texture, geometry_key, texture_key)
