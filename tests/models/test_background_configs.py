"""How YAML asks for a background, in new keys and in old ones, and what contradicts itself."""

import pytest

from models.background_configs import ColorBackgroundConfig, LearnedBackgroundConfig, NoBackgroundConfig
from models.configs import NeRFConfig
from utils.config import schema
from utils.errors import ConfigError

LEARNED = LearnedBackgroundConfig(num_samples_per_ray=16)


@pytest.mark.parametrize(
    ("background", "color", "expected"),
    [
        (NoBackgroundConfig(), "white", "black"),
        (ColorBackgroundConfig(), "random", "random"),
        (ColorBackgroundConfig(), "black", "black"),
        (LEARNED, "random", "white"),
        (LEARNED, "black", "black"),
    ],
)
def test_what_photographs_with_alpha_are_shown_over(background: object, color: str, expected: str) -> None:
    assert background.shown_over(color) == expected


NETWORK = {"otype": "VanillaMLP"}
BASE = {
    "geometry": {"name": "volume-density", "xyz_encoding_config": {"otype": "HashGrid"}, "mlp_network_config": NETWORK},
    "texture": {
        "name": "volume-radiance", "input_feature_dim": 16, "mlp_network_config": NETWORK,
        "dir_encoding_config": {"otype": "SphericalHarmonics"},
    },
}  # fmt: skip
GEOMETRY_BG = {**BASE["geometry"], "feature_dim": 8, "isosurface": None}
TEXTURE_BG = {**BASE["texture"], "input_feature_dim": 8, "color_activation": "sigmoid"}


def parsed(**keys: object) -> NeRFConfig:
    return schema.parse(NeRFConfig, {**BASE, **keys}, "model")


def test_older_keys_mean_the_component() -> None:
    assert parsed(learned_background=True) == parsed(background="learned") == parsed(background={"name": "learned"})
    older = parsed(learned_background=True, num_samples_per_ray_bg=32, geometry_bg=GEOMETRY_BG, texture_bg=TEXTURE_BG)
    component = {"name": "learned", "num_samples_per_ray": 32, "geometry": GEOMETRY_BG, "texture": TEXTURE_BG}
    assert older == parsed(background=component)
    assert older != parsed(background="learned")
    assert schema.parse(NeRFConfig, schema.to_dict(older), "model") == older
    assert parsed(learned_background=False) == parsed(background="color") == parsed()
    assert parsed(learned_background=True, geometry_bg=GEOMETRY_BG).background.texture.input_feature_dim == 8


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"background": "lerned"}, ["model.background.name", "'learned'"]),
        ({"geometry_bg": GEOMETRY_BG}, ["model.geometry_bg:", "learned_background=true", "model.background"]),
        ({"learned_background": True, "background": "none"}, ["model.learned_background:", "background"]),
        ({"learned_background": True, "background": "learned", "texture_bg": TEXTURE_BG}, ["model.texture_bg:"]),
        ({"learned_background": True, "geometry_bg": {**GEOMETRY_BG, "feature_dim": 9}, "texture_bg": TEXTURE_BG},
         ["model.texture_bg.input_feature_dim: expected 9", "got 8"]),
        ({"background": {"name": "learned", "geometry": {**GEOMETRY_BG, "name": "volume-sdf", "isosurface": {}}}},
         ["model.background.geometry.name", "volume-density"]),
        ({"background": {"name": "learned", "num_samples_per_ray": 0}},
         ["model.background.num_samples_per_ray", "from 1", "got 0"]),
        ({"background": {"name": "learned", "num_samples_in_front": -1}},
         ["model.background.num_samples_in_front", "from 0", "-1"]),
        ({"texture": {**BASE["texture"], "name": "volume-reflected-radiance"}},
         ["model.texture.name: expected a texture for a density", "got volume-reflected-radiance"]),
        ({"background": {"name": "learned", "texture": {**TEXTURE_BG, "name": "volume-reflected-radiance"}}},
         ["model.background.texture.name: expected a texture for a density"]),
        ({"geometry": {**BASE["geometry"], "isosurface": None}}, ["model.geometry.isosurface", "null"]),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(keys: dict, said: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(**keys)
    assert all(word in str(caught.value) for word in said), caught.value
