"""Rendering in windows gives what evaluating every sample gives, and leaves out what lies behind a surface."""

from dataclasses import replace

import pytest
import torch
from small_models import RADIUS, Spy, random_model, random_rays, sphere_model
from torch import Tensor
from torch.testing import assert_close

from models import inference
from models.base import VolumeModel
from models.inference import BatchSizes, edges_of, next_width, render_pixels, render_rays, sizes_on_gpu
from utils.memory import ROW, in_rows
from utils.rays import Rays

BACKGROUND = (0.2, 0.5, 0.9)


def everything(model: VolumeModel, rays: Rays, background: Tensor) -> dict[str, Tensor]:
    """All samples of all rays, evaluated at once."""
    with torch.no_grad():
        out = model.render(rays, background)
    images = {"rgb": out.rgb, "opacity": out.opacity, "depth": out.depth, "normal": out.normal}
    return {name: image for name, image in images.items() if image is not None}


@pytest.fixture(params=["neus", "nerf"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def background(device: torch.device) -> Tensor:
    return torch.tensor(BACKGROUND, device=device)


@pytest.mark.parametrize("build", [random_model, sphere_model])
@pytest.mark.parametrize("ray_chunk", [7, 200, 1000])
def test_windows_show_what_all_samples_show(build, ray_chunk: int, name: str, device, background) -> None:
    model, rays = build(name, device), random_rays(200, 1.2, device)
    model.config = replace(model.config, ray_chunk=ray_chunk)
    expected = everything(model, rays, background)
    assert expected["opacity"].std() > 0.1
    found = render_rays(model, rays, background)
    assert found.keys() == expected.keys()
    assert ("normal" in found) == (name == "neus")
    assert_close(found, expected, atol=1e-3, rtol=0.0)
    assert not any(image.requires_grad for image in found.values())


def test_samples_behind_an_opaque_surface_are_left_out(name: str, device, background) -> None:
    model, rays = sphere_model(name, device), random_rays(200, 0.6 * RADIUS, device)
    spy = Spy(model)
    expected = everything(model, rays, background)
    assert expected["opacity"].min() > 0.999
    total = sum(spy.sizes)
    spy.sizes.clear()
    assert_close(render_rays(model, rays, background), expected, atol=1e-3, rtol=0.0)
    assert sum(spy.sizes) < 0.4 * total


def test_without_a_limit_each_sample_is_evaluated_once(monkeypatch, name: str, device, background) -> None:
    monkeypatch.setattr(inference, "MIN_TRANSMITTANCE", -1.0)
    model, rays = random_model(name, device), random_rays(200, 1.2, device)
    spy = Spy(model)
    expected = everything(model, rays, background)
    total = sum(spy.sizes)
    spy.sizes.clear()
    # Depth of a ray with hardly any opacity is a quotient of two rounded sums.
    assert_close(render_rays(model, rays, background), expected, atol=1e-4, rtol=1e-4)
    padding = ROW - 1 if device.type == "cuda" else 0  # of each window
    assert total <= sum(spy.sizes) <= total + padding * len(spy.sizes)


def test_fog_takes_no_more_memory_than_whole_rays_of_a_chunk(monkeypatch, name: str, device, background) -> None:
    monkeypatch.setattr(inference, "MIN_TRANSMITTANCE", -1.0)
    for sizes in ("ON_CPU", "ON_GPU"):
        monkeypatch.setattr(inference, sizes, BatchSizes(chunks=16, window=2))
    model, rays = random_model(name, device), random_rays(64, 0.3, device)
    model.config = replace(model.config, ray_chunk=4)
    spy = Spy(model)
    found = render_rays(model, rays, background)
    budget = 4 * model.config.num_samples_per_ray
    assert max(spy.sizes) <= budget
    assert_close(found, everything(model, rays, background), atol=1e-4, rtol=1e-4)


def test_a_gpu_marches_more_rays_at_once(monkeypatch, device, background) -> None:
    model, rays = random_model("nerf", device), random_rays(250, 0.5, device)
    model.config = replace(model.config, ray_chunk=3)
    march, sizes = model.march, []
    monkeypatch.setattr(model, "march", lambda part, generator: sizes.append(len(part)) or march(part, generator))
    render_rays(model, rays, background)
    at_once = 3 * inference.ON_GPU.chunks  # 120
    assert sizes == ([3] * 83 + [1] if device.type == "cpu" else [at_once, at_once, 250 - 2 * at_once])


def test_where_few_cells_are_occupied_a_gpu_marches_a_whole_view_at_once(device) -> None:
    model = random_model("nerf", device)
    model.occupancy.occupied.fill_(True)
    dense = sizes_on_gpu(model)
    model.occupancy.occupied[1:] = False
    model.occupancy.occupied[:1, : model.occupancy.resolution // 2] = False
    sparse = sizes_on_gpu(model)
    assert sparse.chunks * 4096 >= 800 * 800
    assert (dense, sparse) == (inference.ON_GPU, inference.ON_GPU_SPARSE)


@pytest.mark.parametrize(
    ("left", "budget", "few", "expected"),
    [
        ([100, 3, 0, -5], 1000, 0, (8, 11)),  # twice as wide
        ([100, 3, 0, -5], 1000, 19, (16, 19)),  # four times, as few as they are
        ([100, 100], 15, 0, (4, 8)),  # twice would be too many
        ([100, 100], 7, 0, (3, 6)),  # as many are too many
        ([100, 100], 1, 0, (1, 2)),  # no window holds less than a sample of each
        ([0, -5], 1000, 0, (16, 0)),
    ],
)
def test_windows_grow_within_the_budget(
    left: list[int], budget: int, few: int, expected: tuple[int, int], device
) -> None:
    assert next_width(torch.tensor(left, device=device), 4, budget, few) == expected


def test_rays_without_samples_show_the_background(name: str, device, background) -> None:
    model, rays = sphere_model(name, device), random_rays(9, 0.1, device)
    away = torch.arange(9, device=device) % 2 == 0
    rays = replace(rays, directions=torch.where(away[:, None], -rays.directions, rays.directions))
    found = render_rays(model, rays, background)
    assert_close(found["rgb"][away], background.expand(5, 3))
    for image in (value for key, value in found.items() if key != "rgb"):
        assert not image[away].any()
    assert (found["opacity"][~away] > 0.999).all()


def test_an_empty_grid_needs_no_evaluation(name: str, device, background) -> None:
    model, rays = random_model(name, device), random_rays(10, 0.5, device)
    model.occupancy.occupied.fill_(False)
    spy = Spy(model)
    found = render_rays(model, rays, background)
    assert_close(found["rgb"], background.expand(10, 3))
    assert not found["opacity"].any()
    assert not found["depth"].any()
    assert spy.sizes == []


@pytest.mark.parametrize("num", [0, 1])
def test_none_and_one_ray(num: int, name: str, device, background) -> None:
    model, rays = random_model(name, device), random_rays(num, 0.5, device)
    found = render_rays(model, rays, background)
    shapes = {"rgb": (num, 3), "opacity": (num,), "depth": (num,), "normal": (num, 3)}
    assert {key: tuple(image.shape) for key, image in found.items()} == {key: shapes[key] for key in found}
    if num:
        assert_close(found, everything(model, rays, background), atol=1e-3, rtol=0.0)


def test_the_same_rays_give_the_same_image_on_a_cpu(name: str, background) -> None:
    cpu = torch.device("cpu")
    model, rays = random_model(name, cpu), random_rays(100, 1.2, cpu)
    first, second = (render_rays(model, rays, background.cpu()) for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_without_memory_a_view_is_rendered_in_smaller_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cpu")
    model, rays, color = sphere_model("neus", device), random_rays(300, 1.0, device), torch.zeros(3)
    model.config = replace(model.config, ray_chunk=256)
    expected, march, sizes = render_rays(model, rays, color), model.march, []

    def short(part: Rays, generator: torch.Generator | None) -> object:
        sizes.append(len(part))
        if len(part) > 100:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return march(part, generator)

    monkeypatch.setattr(model, "march", short)
    found = render_rays(model, rays, color)
    assert sizes == [256, 128, 64, 64, 64, 64, 44]
    assert model.config.ray_chunk == 64
    for key, value in expected.items():
        assert_close(found[key], value)


def test_padding_up_to_whole_rows_changes_nothing(name: str, device, background, monkeypatch) -> None:
    monkeypatch.setattr(inference, "MIN_TRANSMITTANCE", -1.0)
    model, rays, size = random_model(name, device), random_rays(35, 0.4, device), (7, 5)
    model.config = replace(model.config, rays_per_pixel=2, view_rays="edges")

    def rays_at(pixel: Tensor, shift: Tensor) -> Rays:
        return replace(rays[pixel], origins=rays.origins[pixel] + 0.1 * shift.expand(len(pixel), 2).sum(-1)[:, None])

    plain, spy = render_pixels(model, rays_at, background, size), Spy(model)
    monkeypatch.setattr(inference, "in_rows", lambda num, device: in_rows(num, torch.device("cuda")))
    padded = render_pixels(model, rays_at, background, size)
    assert spy.sizes
    assert all(number % ROW == 0 for number in spy.sizes)
    assert padded.keys() == plain.keys()
    for key, value in padded.items():
        assert_close(value, plain[key], atol=1e-5, rtol=1e-4)


def test_a_pixel_is_the_mean_of_its_rays(name: str, device, background) -> None:
    model, rays, size = random_model(name, device), random_rays(40, 0.4, device), (8, 5)
    places = []

    def rays_at(pixel: Tensor, shift: Tensor) -> Rays:
        places.append(shift.expand(len(pixel), 2))
        return replace(rays[pixel], origins=rays.origins[pixel] + 0.1 * places[-1].sum(-1, keepdim=True))

    every = torch.arange(40, device=device)
    model.config = replace(model.config, rays_per_pixel=2, view_rays="all")
    found = render_pixels(model, rays_at, background, size)
    shifts = torch.cat(places).unique(dim=0)
    assert shifts.shape == (16, 2)
    one_by_one = [render_rays(model, rays_at(every, shift), background) for shift in shifts]
    for key, value in found.items():
        torch.testing.assert_close(value, torch.stack([one[key] for one in one_by_one]).mean(0))
    model.config = replace(model.config, rays_per_pixel=1)
    alone, plain = render_pixels(model, rays_at, background, size), render_rays(model, rays, background)
    assert places[-1].abs().sum() == 0.0
    for key, value in alone.items():
        torch.testing.assert_close(value, plain[key], rtol=0.0, atol=0.0)
    model.config = replace(model.config, rays_per_pixel=2, view_rays="edges")
    mixed, edges = render_pixels(model, rays_at, background, size), edges_of(plain, size).flatten()
    assert edges.any()
    for key, value in mixed.items():
        torch.testing.assert_close(value[edges], found[key][edges])
        torch.testing.assert_close(value[~edges], plain[key][~edges], rtol=0.0, atol=0.0)


def step_of(layer: str) -> dict[str, Tensor]:
    """A view of 6x4 pixels, each shaded along a slope, one layer of which has a step behind the third column."""
    column = torch.arange(6.0).repeat(4, 1)
    images = {"rgb": (0.1 * column)[..., None].repeat(1, 1, 3), "opacity": torch.ones(4, 6), "depth": 2.0 + column}
    images[layer] = images[layer] + 0.5 * (column > 2).view(4, 6, *[1] * (images[layer].dim() - 2))
    return {key: value.flatten(0, 1) for key, value in images.items()}


@pytest.mark.parametrize("layer", ["rgb", "opacity", "depth"])
def test_a_step_is_an_edge_on_both_of_its_sides_and_a_slope_is_none(layer: str) -> None:
    inner = edges_of(step_of(layer), (6, 4))[:, 1:5]  # at the border a slope ends
    assert inner.tolist() == [[False, True, True, False]] * 4


def test_a_view_without_edges_takes_one_ray_a_pixel(background) -> None:
    device = torch.device("cpu")
    model, rays = sphere_model("neus", device), random_rays(24, 1.0, device)
    away, asked = replace(rays, near=rays.far), []  # nothing lies between
    model.config = replace(model.config, rays_per_pixel=4)
    render_pixels(model, lambda pixel, shift: asked.append(len(pixel)) or away[pixel], background.cpu(), (6, 4))
    assert asked == [24]
