"""What colours read of a mirror: the law itself, float64 autograd, and the kernel against the reference."""

import math

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from models.ops import MirrorSpec, reflected_columns, spherical_harmonics
from models.ops.reference.reflection import reflect
from utils.rays import RaySamples

R, PER_RAY, PADDING = 20, 12, 50
S = R * PER_RAY + PADDING


def samples(device: torch.device, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, RaySamples]:
    """Directions (R, 3) of rays, normals (S, 3), and which ray each sample is of; behind these is padding."""
    directions = normalize(torch.randn(R, 3, device=device, dtype=dtype), dim=-1)
    normal = normalize(torch.randn(S, 3, device=device, dtype=dtype), dim=-1)
    ray = torch.arange(R, device=device)
    index = torch.cat([ray.repeat_interleave(PER_RAY), torch.zeros(PADDING, dtype=torch.int64, device=device)])
    count, t = torch.full_like(ray, PER_RAY), torch.zeros(S, device=device)
    used = torch.tensor(S - PADDING, device=device)
    return directions, normal, RaySamples(index, t, t, PER_RAY * ray, count, count > 0, used)


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


@pytest.mark.parametrize("backend", ["reference", "numba", "triton"], indirect=True)
def test_columns_are_features_normal_cosine_and_the_harmonics_of_a_lobe(backend: str, device: torch.device) -> None:
    directions, normal, packed = samples(device)
    feature, used = torch.randn(S, 5, device=device), S - PADDING
    found = reflected_columns(feature, normal, directions, packed, MirrorSpec(3, 0.4), backend=backend)[:used]
    reflected, cosine = reflect(directions[packed.ray_indices], normal)
    harmonics = spherical_harmonics(reflected, 3, backend="reference")[:used]
    assert_close(found[:, :5], feature[:used])
    assert_close(found[:, 5:8], normal[:used])
    assert_close(found[:, 8], cosine[:used])
    assert_close(found[:, 9], harmonics[:, 0])
    assert_close(found[:, 10:13], math.exp(-0.4) * harmonics[:, 1:4])
    assert_close(found[:, 13:], math.exp(-1.2) * harmonics[:, 4:], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("backend", ["reference", "numba", "triton"], indirect=True)
def test_a_share_mixes_harmonics_of_the_way_back_and_of_the_reflection(backend: str, device: torch.device) -> None:
    """All of the one, all of the other, and a quarter by the last feature and the offset together."""
    directions, normal, packed = samples(device)
    used, feature = S - PADDING, torch.randn(S, 5, device=device)
    mirror = reflected_columns(feature, normal, directions, packed, MirrorSpec(4, 0.4), backend="reference")[:used]
    back = spherical_harmonics(-directions, 4, backend="reference")[packed.ray_indices[:used]]
    for last, share in ((-100.0, 0.0), (100.0, 1.0), (math.log(1 / 3) - 2.0, 0.25)):
        feature[:, -1] = last
        spec = MirrorSpec(4, 0.4, 2.0)
        found = reflected_columns(feature, normal, directions, packed, spec, backend=backend)[:used]
        assert found.shape == (used, 4 + 4 + 16)
        assert_close(found[:, :4], feature[:used, :4])
        assert_close(found[:, 4:8], mirror[:, 5:9])
        assert_close(found[:, 8:], (1.0 - share) * back + share * mirror[:, 9:], atol=1e-5, rtol=1e-4)


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
    expected = reflected_columns(start[:0][None], start[None], -start[None], None, MirrorSpec(4, roughness))[0, 4:]
    assert_close(mean, expected, atol=5e-3, rtol=0)


@pytest.mark.parametrize("offset", [None, 0.5])
@pytest.mark.parametrize("degree", [1, 2, 4, 5])
def test_the_reference_has_the_gradients_of_differences(degree: int, offset: float | None) -> None:
    directions, normal, packed = samples(torch.device("cpu"), torch.float64)
    leaves = [x.requires_grad_() for x in (torch.randn(S, 3, dtype=torch.float64), normal, directions)]
    assert torch.autograd.gradcheck(
        lambda *x: reflected_columns(*x, packed, MirrorSpec(degree, 0.31, offset)), leaves, fast_mode=True
    )


@pytest.mark.parametrize("backend", ["numba", "triton"], indirect=True)
@pytest.mark.parametrize("roughness", [0.0, 0.31])
@pytest.mark.parametrize("degree", [1, 2, 4, 5])
@pytest.mark.parametrize("by_ray", [True, False])
@pytest.mark.parametrize("offset", [None, 0.0, -1.5])
def test_the_kernel_has_values_and_gradients_of_float64(
    backend: str, device: torch.device, degree: int, roughness: float, by_ray: bool, offset: float | None
) -> None:
    directions, normal, packed = samples(device)
    feature, used = 3.0 * torch.randn(S, 5, device=device), slice(None, S - PADDING if by_ray else None)
    given, packed = (directions, packed) if by_ray else (directions[packed.ray_indices], None)
    spec, width = MirrorSpec(degree, roughness, offset), 9 - (offset is not None) + degree**2
    upstream = torch.randn(S, 2 * width, device=device)[:, ::2]  # not contiguous, as a slice of others'
    if by_ray:
        upstream[used.stop :] = 0.0
    found = []
    for name, dtype in ((backend, torch.float32), ("reference", torch.float64)):
        leaves = [x.detach().to(dtype).requires_grad_() for x in (feature, normal, given)]
        by_columns = [x.t().contiguous().t() for x in leaves[:2]]  # as what an SDF gives may lie
        out = reflected_columns(*by_columns, leaves[2], packed, spec, backend=name)
        gradients = torch.autograd.grad(out, leaves, upstream.to(dtype))
        found.append((out[used].detach().double(), [gradient.double() for gradient in gradients]))
    (out, gradients), (expected, by_autograd) = found
    assert_close(out, expected, atol=1e-5, rtol=1e-5)
    for gradient, wanted in zip(gradients, by_autograd, strict=True):
        assert_close(gradient, wanted, atol=5e-4, rtol=1e-4)


@pytest.mark.parametrize("offset", [None, 0.3])
def test_nothing_of_padding_is_read_or_learned(device: torch.device, offset: float | None) -> None:
    directions, normal, packed = samples(device)
    feature, used = torch.randn(S, 4, device=device), S - PADDING
    for values in (feature, normal):
        values[used:] = math.nan
    leaves = [x.requires_grad_() for x in (feature, normal, directions)]
    out = reflected_columns(*leaves, packed, MirrorSpec(3, 0.3, offset), backend="triton")
    assert out.isfinite().all()
    by_feature, by_normal, by_direction = torch.autograd.grad(out.sum(), leaves)
    assert (by_feature[used:] == 0.0).all()
    assert (by_normal[used:] == 0.0).all()
    assert by_direction.isfinite().all()


@pytest.mark.parametrize("backend", ["reference", "numba", "triton"], indirect=True)
def test_a_bad_sample_stays_visible(backend: str, device: torch.device) -> None:
    directions, normal, packed = samples(device)
    feature = torch.randn(S, 4, device=device)
    feature[7, 3] = math.nan
    out = reflected_columns(feature, normal, directions, packed, MirrorSpec(3, 0.3, 0.0), backend=backend)
    assert out[7, 7:].isnan().all()
    assert out[:7].isfinite().all()


def test_more_features_than_a_kernel_has_are_the_references(device: torch.device) -> None:
    directions, normal, packed = samples(device)
    given = torch.randn(S, 40, device=device), normal, directions, packed, MirrorSpec(2, 0.3, 0.0)
    assert_close(reflected_columns(*given, backend="triton"), reflected_columns(*given, backend="reference"))


@pytest.mark.parametrize("backend", ["reference", "numba", "triton"], indirect=True)
def test_no_samples_are_no_columns_lost(backend: str, device: torch.device) -> None:
    feature, empty = (torch.zeros(0, num, device=device, requires_grad=True) for num in (5, 3))
    out = reflected_columns(feature, empty, empty.detach(), None, MirrorSpec(4, 0.3), backend=backend)
    assert out.shape == (0, 25)
    gradients = torch.autograd.grad(out.sum(), (feature, empty))
    assert [tuple(gradient.shape) for gradient in gradients] == [(0, 5), (0, 3)]
