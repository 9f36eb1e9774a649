"""Rays and colours of the sampler against the scene that it was made from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scenes_on_disk import ring_of_cameras
from torch.testing import assert_close

from datasets.geometry.neighbours import nearest_views
from datasets.sampler import RaySampler
from datasets.scene import Scene
from models import ops
from utils.errors import ConfigError, DataError

SIZES = np.array([[7, 5], [3, 4], [6, 2]])
BACKGROUND = torch.tensor([0.2, 0.5, 0.9])


def make_scene(channels: int = 4) -> Scene:
    """Three images of different sizes with random pixels."""
    num = int(SIZES.prod(axis=1).sum())
    return Scene(
        name="mixed",
        pixels=np.random.default_rng(0).integers(0, 256, (num, channels), dtype=np.uint8),
        sizes=SIZES,
        c2w=ring_of_cameras(3).astype(np.float32),
        intrinsics=np.array([[9.0, 8.0, 3.5, 2.5], [5.0, 5.0, 1.5, 2.0], [7.0, 6.0, 3.0, 1.0]], dtype=np.float32),
        image_names=("a", "b", "c"),
        near=0.5,
        far=7.0,
    )


def draw(sampler: RaySampler, num: int, seed: int = 0):
    return sampler.draw(num, BACKGROUND, torch.Generator(sampler.device).manual_seed(seed))


def pixels_of(scene: Scene, rays) -> list[tuple[int, int, int]]:
    """(image, x, y) that each ray passes through, from its origin and direction alone."""
    found = []
    for origin, direction in zip(rays.origins.numpy(), rays.directions.numpy(), strict=True):
        index = int(np.abs(scene.c2w[:, :, 3] - origin).sum(axis=1).argmin())
        camera = scene.c2w[index, :, :3].T @ direction
        x, y = camera[:2] / camera[2] * scene.intrinsics[index, :2] + scene.intrinsics[index, 2:]
        assert abs(x % 1 - 0.5) < 1e-3  # through the centre of the pixel
        assert abs(y % 1 - 0.5) < 1e-3
        found.append((index, int(x), int(y)))
    return found


@pytest.mark.parametrize("per_image", [False, True])
def test_drawn_colour_is_that_of_the_pixel_the_ray_passes(per_image):
    scene = make_scene()
    batch = draw(RaySampler(scene, "cpu", per_image=per_image), 200)
    places = pixels_of(scene, batch.rays)
    pixels = np.array([scene.image(n)[y, x] for n, x, y in places]) / 255.0
    expected = pixels[:, :3] * pixels[:, 3:] + BACKGROUND.numpy() * (1 - pixels[:, 3:])
    assert_close(batch.rgb, torch.tensor(expected, dtype=torch.float32))
    assert_close(batch.mask, torch.tensor(pixels[:, 3], dtype=torch.float32))
    assert_close(torch.from_numpy(scene.pixels)[batch.pixel].numpy() / 255.0, pixels)
    assert len({n for n, _, _ in places}) == (1 if per_image else 3)


def test_every_pixel_is_drawn_equally_often():
    scene = make_scene()
    places = pixels_of(scene, draw(RaySampler(scene, "cpu"), 5900).rays)
    counts = np.array([places.count(place) for place in set(places)])
    assert len(counts) == 59
    assert ((counts - 100.0) ** 2 / 100.0).sum() < 110  # chi square, 58 degrees of freedom: p < 1e-4


def test_per_image_draws_reach_every_pixel_of_every_image():
    scene = make_scene()
    sampler = RaySampler(scene, "cpu", per_image=True)
    places = {place for seed in range(12) for place in pixels_of(scene, draw(sampler, 300, seed).rays)}
    assert len(places) == 59


def test_the_seed_decides_the_batch():
    sampler = RaySampler(make_scene(), "cpu")
    first, same, other = draw(sampler, 50, 1), draw(sampler, 50, 1), draw(sampler, 50, 2)
    assert_close(first.rays.directions, same.rays.directions, rtol=0, atol=0)
    assert not torch.equal(first.rays.directions, other.rays.directions)


@pytest.mark.parametrize("channels", [3, 4])
def test_image_is_whole_and_row_major(channels):
    scene = make_scene(channels)
    sampler = RaySampler(scene, "cpu")
    for index in range(3):
        batch = sampler.image(index, torch.zeros(3))
        width, height = sampler.size(index)
        assert pixels_of(scene, batch.rays) == [(index, x, y) for y in range(height) for x in range(width)]
        image = torch.from_numpy(scene.image(index)).reshape(-1, channels) / 255.0
        assert_close(batch.rgb, image[:, :3] * image[:, 3:] if channels == 4 else image)
        assert (batch.mask is None) == (channels == 3)
        assert (batch.rays.near == 0.5).all()
        assert (batch.rays.far == 7.0).all()


def test_view_with_a_camera_of_the_scene_gives_the_rays_of_its_image():
    scene = make_scene()
    sampler = RaySampler(scene, "cpu")
    rays = sampler.view(scene.c2w[1], scene.intrinsics[1], sampler.size(1))
    expected = sampler.image(1, BACKGROUND).rays
    assert_close(rays.origins, expected.origins)
    assert_close(rays.directions, expected.directions)


def test_rays_of_some_pixels_go_through_their_own_places():
    scene = make_scene()
    sampler, pixel = RaySampler(scene, "cpu"), torch.tensor([7, 0, 3])
    shift = torch.tensor([[0.0, 0.0], [0.25, -0.5], [0.0, 0.0]])
    found, whole = sampler.rays(1, pixel, shift), sampler.image(1, BACKGROUND).rays
    assert_close(found.directions[::2], whole.directions[[7, 3]])
    assert (found.directions[1] - whole.directions[0]).norm() > 1e-4
    own = sampler.view(scene.c2w[1], scene.intrinsics[1], sampler.size(1), pixel, shift)
    assert_close(own.directions, found.directions)
    assert_close(sampler.rays(1, pixel, shift[0]).directions, whole.directions[pixel])


def test_cameras_and_photographs_are_those_of_the_rays():
    scene = make_scene()
    sampler = RaySampler(scene, "cpu")
    for index in range(3):
        camera, rays = sampler.camera(index), sampler.image(index, BACKGROUND).rays
        pixels = camera.project((rays.origins + 2.0 * rays.directions).numpy())
        width, height = camera.size
        row, column = np.mgrid[:height, :width] + 0.5
        np.testing.assert_allclose(pixels[:, :2], np.stack([column, row], axis=-1).reshape(-1, 2), atol=1e-3)
        assert sampler.photograph(index).base is not None
        np.testing.assert_array_equal(sampler.photograph(index), scene.image(index))


def test_a_band_around_the_outline_of_masks_is_marked_in_batches():
    scene = make_scene()
    plain, batch = (draw(RaySampler(scene, "cpu", mask_band=width), 300) for width in (0, 1))
    assert plain.in_band is None
    assert torch.equal(plain.rays.directions, batch.rays.directions)
    for (n, x, y), found in zip(pixels_of(scene, batch.rays), batch.in_band.tolist(), strict=True):
        inside = np.pad(scene.image(n)[..., 3] >= 128, 1, mode="edge")
        cross = inside[y : y + 3, x + 1], inside[y + 1, x : x + 3]
        assert found == any((line != inside[y + 1, x + 1]).any() for line in cross)


def test_several_rays_of_a_pixel_spread_over_all_of_it():
    sampler, num = RaySampler(make_scene(), "cpu"), 4
    batch = sampler.draw(500, torch.zeros(3), torch.Generator().manual_seed(0), per_pixel=num)
    centres = ops.rays_of_pixels(sampler.photographs, batch.pixel, batch.image, torch.zeros(3))
    torch.testing.assert_close(batch.rgb, centres.rgb)
    pixel = batch.pixel.view(-1, num)
    assert (pixel == pixel[:, :1]).all()
    c2w, intrinsics = sampler.photographs.c2w[batch.image], sampler.photographs.intrinsics[batch.image]
    in_camera = torch.einsum("rji,rj->ri", c2w[:, :, :3], batch.rays.directions)
    middle = torch.einsum("rji,rj->ri", c2w[:, :, :3], centres.rays.directions)
    places = (in_camera[:, :2] / in_camera[:, 2:] - middle[:, :2] / middle[:, 2:]) * intrinsics[:, :2]
    assert places.abs().max() <= 0.5 + 1e-3
    halves = (places.view(-1, num, 2) > 0.0).float().mean((0, 1))
    torch.testing.assert_close(halves, torch.full((2,), 0.5), atol=0.05, rtol=0.0)
    inner = places.view(-1, 2, num // 2, 2)
    assert (inner[:, :, 0] - inner[:, :, 1]).norm(dim=-1).min() > 0.4  # of each half no two fall together
    moved = inner.mean(2) - inner.mean(2).mean(0)
    both = (moved[:, 0] * moved[:, 1]).mean(0) / (moved.std(0).prod(0))
    assert both.abs().max() < 0.15  # and one half says nothing of the other
    first = batch.by_pixel(num)
    assert (len(first.rays), len(first.rgb), len(first.mask)) == (500, 500, 500)
    torch.testing.assert_close(first.rays.directions, batch.rays.directions[::num])


def test_pixels_are_shared_with_the_scene_on_the_cpu():
    scene = make_scene()
    assert RaySampler(scene, "cpu").photographs.pixels.data_ptr() == scene.pixels.ctypes.data


@pytest.mark.parametrize("per_image", [False, True])
def test_drawing_never_reads_from_the_device(per_image):
    # tensors without data: reading one raises
    sampler = RaySampler(make_scene(), "meta", per_image=per_image, mask_band=2)
    batch = sampler.draw(16, BACKGROUND.to("meta"), torch.Generator())
    assert batch.rgb.shape == batch.rays.directions.shape == (16, 3)
    assert batch.mask.shape == batch.rays.far.shape == (16,)


def test_nearest_views_are_sorted_by_angle_and_those_too_close_come_last():
    turn = np.radians([0.0, 1.0, 20.0, 50.0, 90.0])
    c2w = np.zeros((5, 3, 4), np.float32)
    c2w[:, 0, 3], c2w[:, 1, 3] = 2.0 * np.cos(turn), 3.0 * np.sin(turn)
    assert nearest_views(c2w, 3)[0].tolist() == [2, 3, 4]
    assert nearest_views(c2w, 9)[0].tolist() == [2, 3, 4, 1]


def test_sources_are_other_views_and_all_photographs_in_grey():
    sampler = RaySampler(make_scene(), "cpu")
    sources = sampler.sources(8)
    assert sources.neighbours.shape == (3, 8)
    assert all(set(row) - {n} for n, row in enumerate(sources.neighbours.tolist()))
    assert sources.heights.tolist() == SIZES[:, 1].tolist()
    assert len(sources.grey) == len(sampler.photographs.pixels)
    assert len(sources.noise) == 3


def test_sources_are_refused_where_there_are_none():
    scene = make_scene()
    single = replace(
        scene, pixels=scene.pixels[:35], **{k: getattr(scene, k)[:1] for k in ("sizes", "c2w", "intrinsics")}
    )
    with pytest.raises(DataError, match="only one to train on"):
        RaySampler(single, "cpu").sources(8)


def test_the_backend_is_the_one_asked_for():
    with pytest.raises(ConfigError, match=r"model\.backend=tinycudann"):
        draw(RaySampler(make_scene(), "cpu", backend="tinycudann"), 5)


def test_a_cpu_shares_the_pixels_with_the_scene_wherever_they_are_asked_for():
    scene = make_scene()
    for placement in ("auto", "device", "host"):
        sampler = RaySampler(scene, "cpu", placement=placement)
        assert sampler.photographs.pixels.data_ptr() == scene.pixels.ctypes.data


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="pins memory for a GPU")
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_pixels_in_host_memory_give_the_same_batches(backend, caplog):
    caplog.set_level("DEBUG", logger="datasets")
    scene, batches = make_scene(), []
    for placement in ("device", "host"):
        sampler = RaySampler(scene, "cuda", backend=backend, placement=placement)
        assert sampler.photographs.pixels.device.type == ("cuda" if placement == "device" else "cpu")
        assert sampler.capturable == (placement == "device" or backend == "auto")
        generator = torch.Generator("cuda").manual_seed(0)
        batches.append(sampler.draw(100, BACKGROUND.cuda(), generator))
        assert torch.isfinite(sampler.image(1, BACKGROUND.cuda()).rgb).all()
    assert_close(batches[0].rgb, batches[1].rgb)
    assert_close(batches[0].rays.directions, batches[1].rays.directions)
    assert "keeping them on the GPU" in caplog.text
    assert "pinned memory of the host" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="asks a GPU for its free memory")
def test_pixels_that_do_not_fit_stay_in_host_memory(monkeypatch):
    scene = make_scene()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (scene.pixels.nbytes, scene.pixels.nbytes))
    assert RaySampler(scene, "cuda").photographs.pixels.device.type == "cpu"
