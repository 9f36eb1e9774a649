"""A GPU's batches carry padding, a CPU's do not: both give the same colours, losses and gradients."""

import pytest
import torch
from small_models import random_rays
from torch.testing import assert_close
from variants import DIFFERENCES, PROGRESSIVE

from systems.configs import read_experiment
from utils import registry
from utils.rays import RayBatch, RaySamples

SMALL = [
    "model.num_samples_per_ray=64",
    "model.train_num_rays=32",
    "model.max_train_num_rays=24",
    "model.grid_resolution=16",
    "model.geometry.xyz_encoding_config.n_levels=4",
    "model.geometry.xyz_encoding_config.log2_hashmap_size=10",
]
BACKGROUND = "model.background={name: learned, num_samples_per_ray: 16, grid_resolution: 16}"
MODELS = {
    "neus": ("neus-demo", []),
    "neus by differences": ("neus-demo", DIFFERENCES),
    "neus by progressive differences": ("neus-demo", PROGRESSIVE),
    "neus with background": ("neus-demo", [BACKGROUND]),
    "nerf": ("nerf-blender", ["dataset.scene=x"]),
    "nerf with background": ("nerf-blender", ["dataset.scene=x", BACKGROUND]),
}


def outcome(config: str, overrides: list[str]) -> list[torch.Tensor]:
    """Colours, the sum of all losses with a weight, and the gradients of all parameters, of one small training step."""
    torch.manual_seed(0)
    experiment = read_experiment([f"configs/{config}.yaml"], [*SMALL, *overrides])
    model = registry.build(experiment.model)
    rays = random_rays(24, 1.2, torch.device("cpu"))  # some miss the object
    color = torch.tensor([0.2, 0.4, 0.6])
    index = torch.zeros(len(rays), dtype=torch.int64)
    batch = RayBatch(rays, torch.rand(len(rays), 3), torch.rand(len(rays)).round(), color, index)
    names = frozenset(name for name, weight in experiment.system.loss.weights.items() if not weight.is_zero)
    out = model.render(rays, color, torch.Generator().manual_seed(0), names)
    losses = [registry.find("loss", name).target(out, batch, experiment.system.loss) for name in sorted(names)]
    total = torch.stack(losses).sum()
    return [out.rgb, total, *torch.autograd.grad(total, list(model.parameters()), materialize_grads=True)]


@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config, overrides = MODELS[name]
    expected = outcome(config, overrides)
    monkeypatch.setattr(RaySamples, "trimmed", lambda packed: packed)
    found = outcome(config, overrides)
    moved = [bool(gradient.any()) for gradient in found[2:]]
    assert sum(moved) > len(moved) / 2  # a sphere's network does not listen to its table yet
    for a, b in zip(found, expected, strict=True):
        assert torch.isfinite(a).all()
        assert_close(a, b, atol=1e-5, rtol=1e-3)
