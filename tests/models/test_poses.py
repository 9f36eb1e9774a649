"""Corrections of cameras: their geometry, what they leave alone, and that a rendered scene moves them."""

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.testing import assert_close

from models.photographs.poses import CameraCorrections, similarity_modes, turn
from utils.cameras import pixel_rays
from utils.rays import Photographs

N = 7


def photographs(dtype: torch.dtype = torch.float64, focal: float = 500.0) -> tuple[Photographs, Tensor]:
    """N cameras around the origin, the last with another lens, and their heights."""
    generator = torch.Generator().manual_seed(3)
    turns = Rotation.random(N, random_state=4).as_matrix()
    c2w = torch.cat([torch.tensor(turns), torch.randn(N, 3, 1, generator=generator, dtype=torch.float64) * 2.0], dim=-1)
    intrinsics = torch.tensor([[focal, focal, 320.0, 240.0]] * (N - 1) + [[600.0, 600.0, 320.0, 240.0]])
    widths, starts = torch.full((N,), 640), torch.arange(N) * 640 * 480
    pixels = torch.zeros(1, 3, dtype=torch.uint8)
    return Photographs(pixels, starts, widths, c2w.to(dtype), intrinsics.to(dtype), 0.0, 9.0), torch.full((N,), 480)


def moved(dtype: torch.dtype = torch.float64) -> tuple[CameraCorrections, Photographs]:
    views, heights = photographs(dtype)
    corrections = CameraCorrections.of(views, heights)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for part in corrections.parameters():
            part.copy_(0.1 * torch.randn(part.shape, generator=generator, dtype=dtype))
    return corrections, views


def rays_of(views: Photographs, image: Tensor) -> tuple[Tensor, Tensor]:
    x, y = torch.arange(len(image)) * 37 % 640, torch.arange(len(image)) * 53 % 480
    return pixel_rays(x, y, views.c2w[image], views.intrinsics[image], 0.0, 9.0)


def test_nothing_moves_at_first():
    views, heights = photographs()
    corrections, image = CameraCorrections.of(views, heights), torch.arange(N)
    rays = rays_of(views, image)
    assert_close(corrections(rays, image).directions, rays.directions, rtol=0, atol=1e-15)
    assert torch.equal(corrections(rays, image).origins, rays.origins)
    assert_close(corrections.corrected(views).c2w, views.c2w, rtol=0, atol=1e-15)
    assert len(corrections.log_focal) == 2


def test_rays_are_those_of_the_corrected_cameras():
    corrections, views = moved()
    image = torch.arange(N).repeat_interleave(5)
    found = corrections(rays_of(views, image), image)
    expected = rays_of(corrections.corrected(views), image)
    assert_close(found.directions, expected.directions, rtol=0, atol=1e-12)
    assert_close(found.origins, expected.origins, rtol=0, atol=1e-12)


def test_turns_are_those_of_rotation_vectors():
    generator = torch.Generator().manual_seed(1)
    rotation, vectors = torch.randn(2, 9, 3, generator=generator, dtype=torch.float64)
    expected = Rotation.from_rotvec(rotation.numpy()).apply(vectors.numpy())
    assert_close(turn(rotation, vectors), torch.tensor(expected), rtol=0, atol=1e-12)
    zero = torch.zeros(9, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(turn(zero, vectors)[:, 0].sum(), zero)
    assert_close(gradient, torch.linalg.cross(vectors, torch.eye(3, dtype=torch.float64)[:1].expand(9, 3)))


@pytest.mark.parametrize("mode", ["shift", "turn", "scale"])
def test_the_scene_stays_where_it_is(mode):
    """What a similarity does to all centres is no correction; and the corrections left do none of it."""
    corrections, views = moved()
    centres = views.c2w[:, :, 3]
    away = centres - centres.mean(dim=0)
    axis = torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64)
    flows = {"shift": axis.expand_as(away), "turn": torch.linalg.cross(axis.expand_as(away), away), "scale": away}
    assert abs((corrections.free_shifts * flows[mode]).sum()) < 1e-12
    with torch.no_grad():
        before = corrections.free_shifts.clone()
        corrections.shifts += flows[mode]
    assert_close(corrections.free_shifts, before, rtol=0, atol=1e-12)


def test_cameras_on_a_line_have_no_turn_around_it():
    away = torch.linspace(-1.0, 1.0, 5, dtype=torch.float64)[:, None] * torch.tensor([[0.0, 0.0, 1.0]])
    assert similarity_modes(away.double()).norm(dim=0).round(decimals=9).sum() == 6  # 3 shifts, 2 turns, 1 scale


def test_held_out_photographs_share_the_lens_alone():
    corrections, views = moved()
    others = corrections.others(views, photographs()[1])
    assert torch.equal(others.c2w, views.c2w)
    assert_close(others.intrinsics, corrections.corrected(views).intrinsics)
    unknown, heights = photographs(focal=777.0)
    assert torch.equal(corrections.others(unknown, heights).intrinsics[0], unknown.intrinsics[0])


def test_gradients():
    corrections, views = moved()
    image = torch.arange(N)
    rays = rays_of(views, image)

    def seen(turns: Tensor, shifts: Tensor, log_focal: Tensor) -> tuple[Tensor, ...]:
        own = {"turns": turns, "shifts": shifts, "log_focal": log_focal}
        out = torch.func.functional_call(corrections, own, (rays, image))
        return out.origins, out.directions

    assert torch.autograd.gradcheck(seen, tuple(part.detach().requires_grad_() for part in corrections.parameters()))


def test_a_checkpoint_tells_which_cameras_to_make():
    corrections, views = moved(torch.float32)
    state = {f"poses.{name}": value for name, value in corrections.state_dict().items()}
    other = CameraCorrections.like(state)
    other.load_state_dict(corrections.state_dict())
    assert torch.equal(other.corrected(views).c2w, corrections.corrected(views).c2w)
    assert CameraCorrections.like({}) is None
