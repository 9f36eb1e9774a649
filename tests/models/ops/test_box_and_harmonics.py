"""Rays cut to a box or a ball, spherical harmonics, and the promise that no operation reads a value on the host."""

import math

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import normalize
from torch.testing import assert_close

from models.ops import (
    GridSpec,
    clip_rays_to_ball,
    clip_rays_to_box,
    composite,
    distortion,
    hash_encode,
    march,
    neus_alpha,
    spherical_harmonics,
)
from utils.rays import Rays


def test_clipped_rays_lie_in_the_box_and_end_on_its_faces(backend, device):
    origins = 4.0 * torch.rand(500, 3, device=device) - 2.0
    directions = normalize(torch.randn(500, 3, device=device), dim=-1)
    bounds = torch.zeros(500, device=device), torch.full((500,), 9.0, device=device)
    rays = clip_rays_to_box(Rays(origins, directions, *bounds), 1.0, backend=backend)
    t = torch.linspace(0.01, 8.9, 400, device=device)
    points = origins[:, None] + directions[:, None] * t[:, None]
    inside = (points.abs() < 1.0).all(-1)
    covered = (t > rays.near[:, None]) & (t < rays.far[:, None])
    assert (inside == covered).double().mean() > 0.9999
    hits = rays.near < rays.far
    ends = (origins + directions * rays.far[:, None])[hits].abs().amax(-1)
    assert_close(ends, torch.ones_like(ends), atol=1e-5, rtol=0)
    assert 100 < hits.sum() < 500


def test_clipped_rays_lie_in_the_ball_and_end_on_it(backend, device):
    origins = 4.0 * torch.rand(500, 3, device=device) - 2.0
    directions = normalize(torch.randn(500, 3, device=device), dim=-1)
    bounds = torch.full((500,), 0.1, device=device), torch.full((500,), torch.inf, device=device)
    rays = clip_rays_to_ball(Rays(origins, directions, *bounds), 1.5, backend=backend)
    t = torch.linspace(0.11, 8.9, 400, device=device)
    inside = (origins[:, None] + directions[:, None] * t[:, None]).norm(dim=-1) < 1.5
    covered = (t > rays.near[:, None]) & (t < rays.far[:, None])
    assert (inside == covered).double().mean() > 0.9999
    hits = rays.near < rays.far
    assert 100 < hits.sum() < 500
    assert_close(rays.near[~hits], rays.far[~hits])
    ends = (origins + directions * rays.far[:, None])[hits].norm(dim=-1)
    assert_close(ends, torch.full_like(ends, 1.5), atol=1e-5, rtol=0)


def test_a_ball_seen_from_far_away(backend, device):
    origin, far = torch.tensor([[3000.0, 0.8, 0.0]], device=device), torch.tensor([torch.inf], device=device)
    rays = Rays(origin, torch.tensor([[-1.0, 0.0, 0.0]], device=device), torch.zeros_like(far), far)
    clipped = clip_rays_to_ball(rays, 1.0, backend=backend)
    assert_close((clipped.near.item(), clipped.far.item()), (2999.4, 3000.6), atol=1e-3, rtol=0)
    short = Rays(rays.origins, rays.directions, rays.near, torch.full_like(far, 2999.0))
    missed = clip_rays_to_ball(short, 1.0, backend=backend)
    assert missed.near == missed.far == 0.0


def test_near_and_far_are_only_ever_tightened(backend, device):
    start, end = torch.tensor([0.5], device=device), torch.tensor([0.7], device=device)
    rays = Rays(torch.zeros(1, 3, device=device), torch.tensor([[0.0, 0.0, 1.0]], device=device), start, end)
    clipped = clip_rays_to_box(rays, 1.0, backend=backend)
    assert (clipped.near, clipped.far) == (start, end)


@pytest.mark.parametrize(("origin", "near", "far"), [((0.2, 0.3, -2.0), 1.0, 3.0), ((1.5, 0.0, -2.0), None, None)])
def test_rays_parallel_to_a_face(backend, device, origin, near, far):
    direction = torch.tensor([[0.0, -0.0, 1.0]], device=device)
    bounds = torch.zeros(1, device=device), torch.full((1,), 10.0, device=device)
    rays = clip_rays_to_box(Rays(torch.tensor([origin], device=device), direction, *bounds), 1.0, backend=backend)
    assert not rays.near.isnan().any()
    if near is None:
        assert rays.near >= rays.far
    else:
        assert_close((rays.near.item(), rays.far.item()), (near, far))


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_spherical_harmonics_are_orthonormal(backend, device, degree):
    heights, weights = np.polynomial.legendre.leggauss(8)
    angles = 2.0 * np.pi * np.arange(16) / 16
    z, phi = (x.reshape(-1) for x in np.meshgrid(heights, angles, indexing="ij"))
    r = np.sqrt(1.0 - z**2)
    dtype, tolerance = (torch.float64, 1e-12) if backend == "reference" else (torch.float32, 1e-6)
    directions = torch.from_numpy(np.stack([r * np.cos(phi), r * np.sin(phi), z], -1)).to(device, dtype)
    basis = spherical_harmonics(directions, degree, backend=backend)
    area = torch.from_numpy(np.repeat(weights, 16)) * (2.0 * math.pi / 16)
    assert basis.shape == (128, degree**2)
    basis = basis.cpu().double()
    assert_close(basis.T @ (area[:, None] * basis), torch.eye(degree**2).double(), atol=tolerance, rtol=0)


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_fused_harmonics_match_the_reference_in_float64(device, degree, dtype):
    pytest.importorskip("triton")
    directions = normalize(torch.randn(3, 300, device=device), dim=0).T.to(dtype)  # a column lies in one piece
    basis = spherical_harmonics(directions, degree, backend="triton")
    assert basis.dtype == torch.float32
    assert_close(basis.double(), spherical_harmonics(directions.double(), degree), atol=3e-6, rtol=0)


def test_harmonics_to_be_differentiated_are(backend, device):
    directions = normalize(torch.randn(5, 3, device=device), dim=-1).requires_grad_()
    (gradient,) = torch.autograd.grad(spherical_harmonics(directions, 2, backend=backend).sum(), directions)
    c = math.sqrt(3.0 / (4.0 * math.pi))
    assert_close(gradient, torch.tensor([-c, -c, c], device=device).expand(5, 3))


def test_spherical_harmonics_have_the_usual_order_and_signs(backend, device):
    directions = normalize(torch.randn(20, 3, device=device), dim=-1)
    x, y, z = directions.unbind(-1)
    basis = spherical_harmonics(directions, 4, backend=backend)
    expected = {0: 0.282095 + 0 * x, 1: -0.488603 * y, 2: 0.488603 * z, 3: -0.488603 * x, 4: 1.092548 * x * y}
    expected |= {6: 0.315392 * (3 * z * z - 1), 8: 0.546274 * (x * x - y * y), 15: -0.590044 * x * (x * x - 3 * y * y)}
    for column, value in expected.items():
        assert_close(basis[:, column], value, atol=1e-5, rtol=0)


def test_with_a_capacity_nothing_is_read_on_the_host():
    # Fake tensors hold no values: a host read or a shape that depends on data raises.
    with FakeTensorMode():
        spec = GridSpec(3, 2, 8, 4, 2.0)
        rays = Rays(torch.rand(10, 3), torch.rand(10, 3), torch.zeros(10), torch.ones(10))
        rays = clip_rays_to_box(rays, 1.0)
        occupied = torch.ones(8, 8, 8, dtype=torch.bool)
        packed = march(rays, occupied, 1.0, 0.1, torch.rand(10), 64, backend="reference")
        table = torch.rand(spec.num_entries, 2, requires_grad=True)
        features, jacobian = hash_encode(torch.rand(64, 3), table, spec, backend="reference")
        harmonics = spherical_harmonics(torch.rand(64, 3), 4)
        alpha = features.mean(-1) + jacobian.mean((1, 2))
        weights, opacity, _, accumulated = composite(alpha, (harmonics,), packed, backend="reference")
        (distortion(weights, packed).sum() + opacity.sum() + accumulated.sum()).backward()
        assert table.grad.shape == table.shape


def test_rays_and_opacity_can_be_captured_in_a_graph(device):
    if device.type != "cuda":
        pytest.skip("graphs are CUDA's")
    rays = Rays(*(torch.randn(200, 3, device=device) for _ in range(2)), *torch.zeros(2, 200, device=device))
    rays = Rays(rays.origins, normalize(rays.directions, dim=-1), rays.near, rays.far + 9.0)
    occupied, jitter = torch.rand(8, 8, 8, device=device) < 0.5, torch.rand(200, device=device)
    sdf, gradient = torch.rand(4000, device=device).requires_grad_(), torch.randn(4000, 3, device=device)
    inv_s, anneal = torch.tensor(20.0, device=device), torch.tensor(0.5, device=device)

    def step() -> torch.Tensor:
        packed = march(clip_rays_to_box(rays, 1.0), occupied, 1.0, 0.02, jitter, 4000)
        alpha, normal = neus_alpha(sdf, gradient, rays.directions, packed, inv_s, anneal)
        values = normal, spherical_harmonics(rays.directions[packed.ray_indices], 3)
        _, opacity, distance, *sums = composite(alpha, values, packed)
        return torch.autograd.grad(opacity.sum() + distance.sum() + sum(x.square().sum() for x in sums), sdf)[0]

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        expected = step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    captured.zero_()
    graph.replay()
    assert expected.any()
    assert torch.equal(captured, expected)
