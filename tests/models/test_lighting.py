"""Lamps at rest beside an object that was moved: what stays the same, gradients, and colours on a mesh."""

import math
from dataclasses import replace

import pytest
import torch
from small_models import GRID, SIZES, random_rays, texture
from torch.nn import functional as F
from torch.testing import assert_close

from models.configs import NeuSConfig, VarianceConfig, VolumeSDFConfig
from models.network_configs import VanillaMLPConfig
from models.neus import NeuS
from models.texture import Lighting, turned_frames
from utils.errors import ConfigError
from utils.rays import Rays

AXIS = F.normalize(torch.tensor([0.2, -0.4, 1.0], dtype=torch.float64), dim=0)


def directions(num: int) -> torch.Tensor:
    return F.normalize(torch.randn(num, 3, dtype=torch.float64), dim=-1)


def rays_along(view: torch.Tensor, lighting: torch.Tensor | None = None) -> Rays:
    return Rays(torch.zeros_like(view), view, view[:, 0], view[:, 0], lighting)


def turned(x: torch.Tensor, angle: float) -> torch.Tensor:
    """x (S, 3) turned about AXIS."""
    along = (AXIS * x).sum(-1, keepdim=True) * AXIS
    return along + math.cos(angle) * (x - along) + math.sin(angle) * torch.linalg.cross(AXIS.expand_as(x), x)


def neus(lightings: int, backend: str = "reference") -> NeuS:
    geometry = VolumeSDFConfig(GRID, VanillaMLPConfig(n_neurons=16), feature_dim=4)
    return NeuS(
        NeuSConfig(geometry, texture(7), lightings=lightings, variance=VarianceConfig(0.1), backend=backend, **SIZES)
    )


def test_what_turns_with_the_camera_looks_the_same() -> None:
    """The defining property: turned together about the axis, direction and normal become the same inputs."""
    lighting = Lighting(1, 4).double()
    lighting.axes.copy_(AXIS[None])
    view, normal, feature = directions(20), directions(20), torch.randn(20, 4, dtype=torch.float64)
    first = lighting(rays_along(view), None, feature, normal)
    second = lighting(rays_along(turned(view, 1.3)), None, feature, turned(normal, 1.3))
    assert_close(first, second)
    assert_close(first[2] @ torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), normal @ AXIS)  # height stays
    assert_close((first[0] * first[2]).sum(-1), (view * normal).sum(-1))  # so does the angle between the two
    assert not torch.allclose(first[2], lighting(rays_along(turned(view, 1.3)), None, feature, normal)[2])


def test_frames_are_rotations_and_lamps_at_rest_have_none() -> None:
    view = directions(30)
    axes = torch.cat([AXIS.expand(20, 3), torch.zeros(10, 3, dtype=torch.float64)])
    frames = turned_frames(view, axes)
    eye = torch.eye(3, dtype=torch.float64).expand(30, 3, 3)
    assert_close(frames @ frames.mT, eye)
    assert_close(torch.linalg.det(frames), torch.ones(30, dtype=torch.float64))
    assert_close(frames[20:], eye[20:])
    assert (frames[:20, 0] @ AXIS).abs().max() < 1e-12
    assert ((frames[:20, 0] * view[:20]).sum(-1) <= 0.0).all()  # the first row points to the camera
    assert turned_frames(AXIS[None], AXIS[None]).isfinite().all()


def test_gradients_reach_normals_features_and_codes() -> None:
    lighting = Lighting(2, 4).double()
    lighting.axes[1] = AXIS
    view, lit = directions(6), torch.tensor([0, 1, 1, 0, 1, 0])

    def inputs(normal: torch.Tensor, feature: torch.Tensor, codes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        state = {"codes": codes, "axes": lighting.axes}
        return torch.func.functional_call(lighting, state, (rays_along(view, lit), None, feature, normal))[1:]

    leaves = directions(6), torch.randn(6, 4, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(inputs, [leaf.requires_grad_() for leaf in leaves])


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_each_ray_is_seen_in_its_lighting(backend: str, device: torch.device) -> None:
    model = neus(2, backend).to(device)
    model.set_lamp_axes(torch.stack([torch.zeros(3), AXIS.float()]).to(device))
    torch.nn.init.normal_(model.lighting.codes)
    rays, white = random_rays(4, 0.5, device), torch.ones(3, device=device)
    number = torch.arange(4, device=device) % 2
    with torch.no_grad():
        mixed = model.render(replace(rays, lighting=number), white).rgb
        alone = [model.render(replace(rays, lighting=torch.full_like(number, i)), white).rgb for i in (0, 1)]
        unnamed = model.render(rays, white).rgb
    assert_close(mixed, torch.where(number[:, None] == 0, *alone), atol=1e-4, rtol=1e-3)
    assert_close(unnamed, alone[0], atol=1e-4, rtol=1e-3)
    assert (alone[0] - alone[1]).abs().max() > 1e-3


def test_a_step_trains_the_codes_and_a_checkpoint_keeps_the_axes() -> None:
    model, plain = neus(2), neus(0)
    model.set_lamp_axes(torch.stack([torch.zeros(3), AXIS.float()]))
    assert set(model.parts()) == set(plain.parts()) | {"lighting"}
    assert set(neus(1).parts()) == set(plain.parts())  # one lighting: nothing to learn
    rays = replace(random_rays(16, 0.5, torch.device("cpu")), lighting=torch.arange(16) % 2)
    model.render(rays, torch.ones(3), torch.Generator().manual_seed(0)).rgb.sum().backward()
    assert (model.lighting.codes.grad.abs().sum(1) > 0).all()
    resumed = neus(2)
    resumed.load_state_dict(model.state_dict())
    assert_close(resumed.lighting.axes, model.lighting.axes)


def test_a_mesh_has_the_mean_colour_of_all_lightings() -> None:
    model = neus(2)
    torch.nn.init.normal_(model.lighting.codes)
    points, outward = torch.rand(10, 3) - 0.5, directions(10).float()
    with torch.no_grad():
        both = model.color(points, outward)
        first = model.lighting.codes[0].clone()
        model.lighting.codes[0] = model.lighting.codes[1]
        second = model.color(points, outward)
        model.lighting.codes.copy_(first.expand(2, -1))
        assert_close(both, (model.color(points, outward) + second) / 2.0)


def test_another_number_of_lightings_is_refused_and_unused_ones_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError, match=r"model\.lightings: expected 3, .* got 2"):
        neus(2).set_lamp_axes(torch.zeros(3, 3))
    with caplog.at_level("INFO"):
        neus(0).set_lamp_axes(torch.zeros(1, 3))
    assert "lighting.json is not used, since model.lightings is 0" in caplog.text
