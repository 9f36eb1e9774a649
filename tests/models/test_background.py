"""A learned background: where it lies, how it shows around the foreground, what it learns."""

from dataclasses import replace

import pytest
import torch
from models_with_background import behind, make_model, make_rays
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from models import ops
from models.background import _put
from models.background_configs import ColorBackgroundConfig, NoBackgroundConfig
from models.inference import render_rays
from systems.loss_config import LossConfig
from systems.losses import distortion_bg, rgb_mse
from utils.rays import RayBatch, Rays

COLOR = (0.2, 0.5, 0.9)
LOSSES = LossConfig({})


def batch_of(rays: Rays, rgb: Tensor) -> RayBatch:
    """The rays with the colours (R, 3) of an image without a mask."""
    return RayBatch(rays, rgb, None, rgb.new_tensor(COLOR), torch.zeros_like(rays.near, dtype=torch.int64))


@pytest.fixture(params=["neus", "nerf"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def color(device: torch.device) -> Tensor:
    return torch.tensor(COLOR, device=device)


def test_samples_lie_around_the_region(device: torch.device, color: Tensor) -> None:
    model, rays = make_model("nerf", device), make_rays(device)
    region = ops.clip_rays_to_ball(rays, 1.5)
    hit = region.far > region.near
    assert hit.any()
    assert not hit.all()
    packed = model.render(rays, color).background.packed
    first, last = packed.ray_start, packed.ray_start + packed.ray_count - 1
    seen = packed.ray_count > 0
    assert_close(packed.t_starts[first[seen]], rays.near[seen])
    assert (packed.t_ends[last[seen & hit]] > region.far[seen & hit]).sum() > 5
    points = ops.sample_points(rays, packed)
    inside = (points.norm(dim=-1) < 1.5).int()
    assert_close(torch.zeros(len(rays), device=device).index_add(0, packed.ray_indices, inside.float()), hit.float())


def test_colors_are_those_of_a_slow_loop(name: str, device: torch.device, color: Tensor) -> None:
    model, rays = make_model(name, device), make_rays(device)
    out = model.render(rays, color)
    front = model.shade(rays, model.march(rays, None))
    background = behind(model)
    region = background.clip_to_region(rays)
    yes = torch.ones_like(out.within_budget)
    packed = background.march(rays, region, yes, yes, None, False)
    points = ops.sample_points(rays, packed) / 1.5
    density, feature = background.field(ops.contract(points), packed.num_samples)
    colors = background.texture(rays.directions, packed, feature).double()
    lengths = (packed.t_ends - packed.t_starts).double()
    depth = density.double() / 1.5 / points.double().square().sum(-1).clamp(min=1.0) * lengths
    blocked = 0
    for ray in range(len(rays)):
        light, expected = (
            torch.ones_like(front.opacity[ray]).double(),
            torch.zeros(3, dtype=torch.float64, device=device),
        )
        clear = light
        start, count = int(packed.ray_start[ray]), int(packed.ray_count[ray])
        for index in range(start, start + count):
            if region.near[ray] < packed.t_mids[index] < region.far[ray]:
                clear = light
                expected = expected + light * front.rgb[ray].double()
                light = light * (1.0 - front.opacity[ray].double())
                continue
            alpha = 1.0 if index == start + count - 1 else 1.0 - torch.exp(-depth[index])
            expected = expected + light * alpha * colors[index]
            light = light * (1.0 - alpha)
        assert_close(out.rgb[ray].double(), expected, atol=2e-4, rtol=0.0)
        assert_close(out.opacity[ray], (front.opacity[ray] * clear).float(), atol=1e-5, rtol=1e-4)
        blocked += bool(clear < 0.99)
    assert blocked > 5
    assert front.opacity.std() > 0.1


def test_what_is_close_to_a_camera_learns_less(device: torch.device, color: Tensor) -> None:
    model, rays = make_model("nerf", device), make_rays(device)
    background = behind(model)
    region = background.clip_to_region(rays)
    yes = torch.ones_like(rays.near, dtype=torch.bool)
    packed = background.march(rays, region, yes, yes, None, False)
    density, feature = torch.ones_like(packed.t_mids).requires_grad_(), torch.zeros(packed.t_mids.shape[0], 4)
    background.field = lambda points, count: (density, feature.to(device))
    alpha, _ = background.shade(rays, packed)
    alpha.sum().backward()
    expected = torch.ones_like(packed.t_mids).requires_grad_()
    size = (ops.sample_points(rays, packed) / 1.5).square().sum(-1).clamp(min=1.0) * 1.5
    ops.density_alpha(expected / size, packed).sum().backward()
    share = (packed.t_mids / 4.0).square().clamp(max=1.0)  # cameras are 4 from the origin
    assert_close(density.grad, expected.grad * share, atol=1e-6, rtol=1e-4)
    assert share.min() < 0.1
    assert share.max() == 1.0


def test_views_show_what_rays_of_a_training_step_see(name: str, device: torch.device, color: Tensor) -> None:
    model, rays = make_model(name, device), make_rays(device, 150)
    with torch.no_grad():
        out = model.render(rays, color)
    for chunk in (2, 1000):
        model.config = replace(model.config, ray_chunk=chunk)
        found = render_rays(model, rays, color)
        assert_close(found["rgb"], out.rgb, atol=1e-3, rtol=0.0)
        assert_close(found["opacity"], out.opacity, atol=1e-3, rtol=0.0)
    assert render_rays(model, rays[:0], color)["rgb"].shape == (0, 3)


def test_an_opaque_foreground_hides_it_and_needs_no_samples(device: torch.device, color: Tensor) -> None:
    model, rays = make_model("nerf", device), make_rays(device)
    with torch.no_grad():
        model.geometry.network.layers[-1].bias[0] = 30.0
    out = model.render(rays, color)
    front = model.shade(rays, model.march(rays, None))
    opaque, packed = front.opacity > 1.0 - 1e-5, out.background.packed
    assert 5 < opaque.sum() < len(rays)
    region = out.background.region
    past = (packed.t_mids > region.far[packed.ray_indices]).float()
    past = torch.zeros(len(rays), device=device).index_add(0, packed.ray_indices, past)
    assert not past[opaque].any()
    assert past[~opaque].all()
    assert_close(out.opacity[opaque], out.background.front_transmittance[opaque])
    assert out.within_budget.all()


def test_a_far_inside_of_the_region_shows_the_colour(device: torch.device, color: Tensor) -> None:
    model, rays = make_model("neus", device), make_rays(device)
    region = ops.clip_rays_to_ball(rays, 1.5)
    rays = replace(rays, far=0.5 * (region.near + region.far))
    hit = region.far > region.near
    model.occupancy.occupied.fill_(False)
    behind(model).occupancy.occupied.fill_(False)  # in front of the region too
    assert_close(model.render(rays, color).rgb[hit], color.expand(int(hit.sum()), 3))
    assert_close(render_rays(model, rays, color)["rgb"][hit], color.expand(int(hit.sum()), 3))


def test_gradients_reach_its_parameters(name: str, device: torch.device, color: Tensor) -> None:
    model, rays = make_model(name, device), make_rays(device)
    generator = torch.Generator(device).manual_seed(0)
    out = model.render(rays, color, generator)
    batch = batch_of(rays, torch.rand(len(rays), 3, device=device))
    (rgb_mse(out, batch, LOSSES) + distortion_bg(out, batch, LOSSES)).backward()
    parts = model.parts()
    assert {"geometry_bg", "texture_bg"} <= parts.keys()
    assert "background" not in parts
    for part, parameters in parts.items():
        assert all(parameter.grad.isfinite().all() for parameter in parameters), part
        assert all(parameter.grad.any() for parameter in parameters if parameter.ndim == 2), part


def test_rays_beyond_either_budget_leave_the_losses(device: torch.device, color: Tensor) -> None:
    model, rays = make_model("nerf", device), make_rays(device)
    behind(model).capacity = 100
    out = model.render(rays, color, torch.Generator(device).manual_seed(0))
    packed = out.background.packed
    assert out.samples.packed.within_budget.all()
    assert 0 < out.within_budget.sum() < len(rays)
    assert (packed.ray_count[out.within_budget & (out.opacity < 0.999)] > 0).all()
    truth = torch.where(out.within_budget[:, None], out.rgb.detach(), 9.0)  # wrong only where nothing counts
    assert rgb_mse(out, batch_of(rays, truth), LOSSES) == 0.0
    lost = out.samples.packed.within_budget.clone()
    lost[3:] = False
    model.march = lambda rays, generator: replace(out.samples.packed, within_budget=lost)
    again = model.render(rays, color, torch.Generator(device).manual_seed(0))
    assert not again.within_budget[3:].any()
    assert not again.background.packed.ray_count[3:].any()


def test_all_rays_count_in_the_colour(device: torch.device, color: Tensor) -> None:
    model, rays = make_model("nerf", device), make_rays(device)
    model.occupancy.occupied.fill_(False)
    out = model.render(rays, color)
    assert not out.samples.packed.ray_count.any()
    assert_close(rgb_mse(out, batch_of(rays, out.rgb.detach() + 0.5), LOSSES).item(), 0.25)


def test_its_occupancy_follows_its_density(device: torch.device) -> None:
    background, shell = behind(make_model("nerf", device)), 1.6

    def field(points: Tensor, count: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return 100.0 * ((points.norm(dim=-1) - shell).abs() < 0.2), points

    background.field = field
    generator = torch.Generator(device).manual_seed(0)
    for _ in range(20):
        background.update_occupancy(generator, every_cell=True)
    grid = background.occupancy.occupied
    where = (grid.nonzero() + 0.5) * (4.0 / grid.shape[0]) - 2.0
    distance = (where.norm(dim=-1) - shell).abs()
    assert (distance < 0.2 + background.occupancy.half_diagonal + 1e-6).all()
    assert (where.abs().amax(-1) > 0.5).all()  # nothing is sampled further inside of the region
    directions = F.normalize(torch.randn(300, 3, device=device), dim=-1)
    cells = ((directions * shell + 2.0) * (grid.shape[0] / 4.0)).long()
    assert grid[cells[:, 0], cells[:, 1], cells[:, 2]].float().mean() > 0.99


def test_one_colour_has_no_parts_and_no_state() -> None:
    for background in (NoBackgroundConfig(), ColorBackgroundConfig()):
        model = make_model("nerf", torch.device("cpu"), background)
        assert model.background is None
        assert model.parts().keys() == {"geometry", "texture"}
        assert not any("background" in key for key in model.state_dict())


def test_the_opacity_of_the_region_takes_its_place(device: torch.device) -> None:
    model, rays = make_model("nerf", device), make_rays(device)
    background = behind(model)
    region, yes = background.clip_to_region(rays), torch.ones_like(rays.near, dtype=torch.bool)
    packed = background.march(rays, region, yes, yes, torch.Generator(device).manual_seed(0), False)
    _, inside = background.locate(region, packed)
    alpha, opacity = (torch.rand_like(x).requires_grad_() for x in (packed.t_mids, rays.near))
    weights = torch.randn_like(alpha)
    gradients = []
    for found in (_put(alpha, inside, opacity, packed), torch.where(inside, opacity[packed.ray_indices], alpha)):
        gradients.append((found.detach(), *torch.autograd.grad((found * weights).sum(), (alpha, opacity))))
    assert inside.any()
    for found, expected in zip(*gradients, strict=True):
        assert_close(found, expected)
