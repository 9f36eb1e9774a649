"""What a mirror sees: against the law itself, against float64 autograd, and the kernel against the reference."""

import math

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from models.ops import reflected_harmonics, spherical_harmonics
from models.ops.reference.reflection import reflect
from utils.rays import RaySamples

S, R = 300, 20


def samples(device: torch.device, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, RaySamples]:
    """Directions (R, 3) of rays, normals (S, 3), and which ray each sample is of; the last 50 are padding."""
    directions = normalize(torch.randn(R, 3, device=device, dtype=dtype), dim=-1)
    normal = normalize(torch.randn(S, 3, device=device, dtype=dtype), dim=-1)
    index = torch.randint(R, (S,), device=device).sort().values
    index[-50:] = 0
    t, per_ray = torch.zeros(S, device=device), torch.zeros(R, dtype=torch.int64, device=device)
    packed = RaySamples(index, t, t, per_ray, per_ray, per_ray == 0, torch.tensor(S - 50, device=device))
    return directions, normal, packed


def test_a_mirror_by_hand() -> None:
    down = normalize(torch.tensor([[1.0, 0.0, -1.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]), dim=-1)
    reflected, cosine = reflect(down, torch.tensor([[0.0, 0.0, 1.0]]).expand(3, 3))
    assert_close(reflected, normalize(torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), dim=-1))
    assert_close(cosine, torch.tensor([0.5**0.5, 1.0, 0.0]))


def test_a_reflection_keeps_length_and_angle() -> None:
    view, normal = normalize(torch.randn(2, 100, 3), dim=-1)
    reflected, cosine = reflect(view, normal)
    assert_close(reflected.norm(dim=-1), torch.ones(100))
    assert_close((reflected * normal).sum(-1), cosine)
    assert_close(reflect(-reflected, normal)[0], -view)  # light takes the same way back


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_it_is_the_cosine_and_the_harmonics_of_a_lobe(backend: str, device: torch.device) -> None:
    directions, normal, packed = samples(device)
    found = reflected_harmonics(directions, normal, packed, 3, 0.4, backend=backend)
    reflected, cosine = reflect(directions[packed.ray_indices], normal)
    harmonics = spherical_harmonics(reflected, 3, backend="reference")
    assert_close(found[:, 0], cosine)
    assert_close(found[:, 1], harmonics[:, 0])
    assert_close(found[:, 2:5], math.exp(-0.4) * harmonics[:, 1:4])
    assert_close(found[:, 5:], math.exp(-1.2) * harmonics[:, 4:], atol=1e-6, rtol=1e-4)


def test_a_lobe_is_the_mean_over_what_a_rough_surface_mirrors() -> None:
    """Diffusion on the sphere for a time of roughness / 2: many small steps in random directions around the first."""
    torch.manual_seed(0)
    roughness, steps = 0.3, 60
    start = normalize(torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64), dim=0)
    walk = start.expand(100_000, 3)
    for _ in range(steps):
        step = torch.randn_like(walk) * (roughness / steps) ** 0.5
        walk = normalize(walk + step - (step * walk).sum(-1, keepdim=True) * walk, dim=-1)
    mean = spherical_harmonics(walk, 4).mean(0)
    # Seen along -start by a surface that faces the camera, the reflection is start itself.
    expected = reflected_harmonics(-start[None], start[None], None, 4, roughness)[0, 1:]
    assert_close(mean, expected, atol=5e-3, rtol=0)


@pytest.mark.parametrize("degree", [1, 2, 4, 5])
def test_the_reference_has_the_gradients_of_differences(degree: int) -> None:
    directions, normal, packed = samples(torch.device("cpu"), torch.float64)
    assert torch.autograd.gradcheck(
        lambda n: reflected_harmonics(directions, n, packed, degree, 0.31), normal.requires_grad_(), fast_mode=True
    )


@pytest.mark.parametrize("roughness", [0.0, 0.31])
@pytest.mark.parametrize("degree", [1, 2, 4, 5])
@pytest.mark.parametrize("by_ray", [True, False])
def test_the_kernel_has_values_and_gradients_of_float64(
    device: torch.device, degree: int, roughness: float, by_ray: bool
) -> None:
    directions, normal, packed = samples(device)
    given = (directions, packed) if by_ray else (directions[packed.ray_indices], None)
    upstream = torch.randn(S, 2 * (1 + degree**2), device=device)[:, ::2]  # not contiguous, as a slice of others'
    found = []
    for backend, dtype in (("triton", torch.float32), ("reference", torch.float64)):
        leaf = normal.to(dtype).t().contiguous().t().requires_grad_()  # by columns, as the SDF's gradient may lie
        out = reflected_harmonics(given[0].to(dtype), leaf, given[1], degree, roughness, backend=backend)
        (gradient,) = torch.autograd.grad(out, leaf, upstream.to(dtype))
        found.append((out.detach().double(), gradient.double()))
    (out, gradient), (expected, by_autograd) = found
    assert_close(out, expected, atol=1e-5, rtol=1e-5)
    assert_close(gradient, by_autograd, atol=2e-4, rtol=1e-4)


def test_directions_to_be_differentiated_are(device: torch.device) -> None:
    directions, normal, packed = samples(device)
    leaf = directions.requires_grad_()
    (gradient,) = torch.autograd.grad(reflected_harmonics(leaf, normal, packed, 3, 0.3, backend="triton").sum(), leaf)
    assert gradient.abs().sum() > 0.0


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_no_samples_are_no_columns_lost(backend: str, device: torch.device) -> None:
    empty = torch.zeros(0, 3, device=device, requires_grad=True)
    out = reflected_harmonics(torch.zeros(0, 3, device=device), empty, None, 4, 0.3, backend=backend)
    assert out.shape == (0, 17)
    assert torch.autograd.grad(out.sum(), empty)[0].shape == (0, 3)
