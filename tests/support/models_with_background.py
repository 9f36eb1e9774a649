"""Small models with a background, and rays of which some miss their region."""

import torch
from small_models import GRID, texture
from torch.nn import functional as F

from models.background import LearnedBackground
from models.background_configs import LearnedBackgroundConfig
from models.base import VolumeModel
from models.configs import NeRFConfig, NeuSConfig, VarianceConfig, VolumeDensityConfig, VolumeSDFConfig
from models.nerf import NeRF
from models.network_configs import VanillaMLPConfig
from models.neus import NeuS
from utils.rays import Rays

DENSITY = VolumeDensityConfig(GRID, VanillaMLPConfig(n_neurons=16), feature_dim=4, isosurface=None)
LEARNED = LearnedBackgroundConfig(16, 8, 64, 16, geometry=DENSITY)
SIZES = {"radius": 1.5, "num_samples_per_ray": 64, "train_num_rays": 32, "max_train_num_rays": 32, "ray_chunk": 64}


def make_model(name: str, device: torch.device, background: object = LEARNED) -> VolumeModel:
    """Random weights, large enough to make both fields vary."""
    network, sizes = VanillaMLPConfig(n_neurons=16), {**SIZES, "grid_resolution": 8, "background": background}
    if name == "neus":
        geometry = VolumeSDFConfig(GRID, network, SIZES["radius"], 4)
        model = NeuS(NeuSConfig(geometry, texture(7), variance=VarianceConfig(0.1), **sizes))
    else:
        model = NeRF(NeRFConfig(VolumeDensityConfig(GRID, network, SIZES["radius"], 4), texture(4), **sizes))
    with torch.no_grad():
        for part, parameters in model.parts().items():
            for parameter in parameters if part.startswith("geometry") else []:
                parameter.normal_(0.0, 0.5)
    return model.to(device)


def make_rays(device: torch.device, num: int = 30) -> Rays:
    """Rays from a distance of 4; some miss the region, the ball of radius 1.5."""
    origins = 4.0 * F.normalize(torch.randn(num, 3), dim=-1)
    directions = F.normalize(3.0 * torch.rand(num, 1) * F.normalize(torch.randn(num, 3), dim=-1) - origins, dim=-1)
    near = torch.full((num,), 0.5)
    return Rays(*(part.to(device) for part in (origins, directions, near, torch.full_like(near, torch.inf))))


def behind(model: VolumeModel) -> LearnedBackground:
    assert model.background is not None
    return model.background
