"""The hash grid: interpolation, Jacobian and table gradient, on every backend."""

from importlib import import_module
from importlib.util import find_spec

import pytest
import torch
from torch.testing import assert_close

from models.ops import GridSpec, hash_encode, hash_features
from models.ops.reference import hash as reference_hash
from utils.errors import ConfigError

SPEC = GridSpec(num_levels=3, features_per_level=2, log2_hashmap_size=9, base_resolution=4, per_level_scale=1.6)


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three points in a row for each lane of the scatter on a CPU: Triton's interpreter takes its time for each."""
    if not torch.cuda.is_available() and find_spec("triton"):
        monkeypatch.setitem(import_module("models.ops.triton.hash").BACKWARD, "RUN", 3)


def random_table(spec: GridSpec, device: torch.device, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(spec.num_entries, spec.features_per_level, device=device, dtype=dtype, requires_grad=True)


def points_within_cells(num_points: int, spec: GridSpec, device: torch.device) -> torch.Tensor:
    """Random points in and around the cube, off the faces of cells, where the slope jumps with the rounding."""
    points = 1.1 * torch.rand(num_points, 3, device=device) - 0.05
    scales = torch.tensor([level.scale for level in spec.levels], device=device)
    fraction = (points.clamp(0.0, 1.0)[..., None] * scales + 0.5).frac()
    return points[((fraction > 1e-4) & (fraction < 1.0 - 1e-4)).all(-1).all(-1)]


def test_the_small_grid_of_these_tests_holds_both_kinds_of_level():
    assert {level.dense for level in SPEC.levels} == {True, False}


@pytest.mark.parametrize("vertex", [(1, 2, 3), (3, 1, 2)])
def test_at_a_vertex_the_feature_is_its_entry(backend, device, vertex):
    table = random_table(SPEC, device)
    for index, level in enumerate(SPEC.levels):
        x, y, z = vertex
        if level.dense:
            row = x + y * level.resolution + z * level.resolution**2
        else:
            row = (x ^ (y * 2654435761) % 2**32 ^ (z * 805459861) % 2**32) % level.size
        point = (torch.tensor([vertex], device=device) - 0.5) / level.scale
        features = hash_features(point, table, SPEC, backend=backend)
        assert_close(features[0, 2 * index : 2 * index + 2], table[level.offset + row], atol=1e-4, rtol=0)


def test_a_dense_level_reproduces_linear_functions(backend, device):
    spec = GridSpec(1, 1, 15, 17, 1.0)
    level = spec.levels[0]
    vertices = torch.cartesian_prod(*[torch.arange(level.resolution, device=device, dtype=torch.float32)] * 3).flip(-1)
    slope = torch.tensor([1.0, -2.0, 3.0], device=device)
    table = torch.zeros(spec.num_entries, 1, device=device)
    table[: len(vertices), 0] = (vertices - 0.5) / level.scale @ slope
    points = 0.9 * torch.rand(50, 3, device=device)
    features, jacobian = hash_encode(points, table, spec, backend=backend)
    assert_close(features[:, 0], points @ slope, atol=1e-5, rtol=0)
    assert_close(jacobian[:, 0], slope.expand(50, 3), atol=1e-4, rtol=0)


def test_reference_jacobian_is_the_derivative_of_its_features(device):
    table = random_table(SPEC, device, torch.float64).detach()
    points = (1.2 * torch.rand(40, 3, device=device, dtype=torch.float64) - 0.1).requires_grad_()
    features, jacobian = reference_hash.hash_encode(points, table, SPEC, None)
    for k in range(SPEC.output_dim):
        (gradient,) = torch.autograd.grad(features[:, k].sum(), points, retain_graph=True)
        assert_close(jacobian[:, k], gradient)


def test_reference_table_gradient_passes_gradcheck(device):
    spec = GridSpec(2, 2, 6, 3, 2.0)
    points, table = torch.rand(6, 3, device=device, dtype=torch.float64), random_table(spec, device, torch.float64)
    assert torch.autograd.gradcheck(lambda table: hash_encode(points, table, spec), table)


@pytest.mark.usefixtures("short_runs")
@pytest.mark.parametrize(
    ("num_features", "active_levels"), [(1, None), (2, None), (4, None), (1, 2), (4, 1), (1, 0), (2, 0)]
)
def test_values_and_gradients_match_float64(backend, device, num_features, active_levels):
    spec = GridSpec(3, num_features, 9, 4, 1.6)
    points = points_within_cells(300, spec, device)  # several blocks of each kernel
    exact_table = random_table(spec, device, torch.float64)
    table = exact_table.detach().float().requires_grad_()
    exact = reference_hash.hash_encode(points.double(), exact_table, spec, active_levels)
    result = hash_encode(points, table, spec, active_levels, backend=backend)
    assert_close(result[0].double(), exact[0], atol=1e-4, rtol=0)
    assert_close(result[1].double(), exact[1], atol=5e-3, rtol=0)  # slopes are up to `resolution` times larger

    grads = [torch.randn_like(x) for x in result]
    torch.autograd.backward(result, grads)
    torch.autograd.backward(exact, [g.double() for g in grads], inputs=[exact_table])
    assert_close(table.grad.double(), exact_table.grad, atol=5e-3, rtol=1e-4)


@pytest.mark.usefixtures("short_runs")
def test_features_alone_equal_features_with_jacobian(backend, device):
    points, table = torch.rand(180, 3, device=device), random_table(SPEC, device)
    alone = hash_features(points, table, SPEC, backend=backend)
    # on a GPU the reference is a matrix product, whose sums depend on the shapes
    assert_close(alone, hash_encode(points, table, SPEC, backend=backend)[0], atol=1e-5, rtol=1e-5)
    upstream = torch.randn_like(alone)
    (gradient,) = torch.autograd.grad(alone, table, upstream)
    (expected,) = torch.autograd.grad(hash_encode(points, table, SPEC, backend=backend)[0], table, upstream)
    assert_close(gradient, expected)


def test_gradient_through_the_jacobian_alone(backend, device):
    points, table = torch.rand(180, 3, device=device), random_table(SPEC, device)
    jacobian = hash_encode(points, table, SPEC, backend=backend)[1]
    # The features and their Jacobian are linear in the table: <J(table), G> has gradient v with <v, table> = itself.
    upstream = torch.randn_like(jacobian)
    (gradient,) = torch.autograd.grad(jacobian, table, upstream)
    expected = (jacobian * upstream).double().sum()
    assert_close((gradient * table).double().sum(), expected, atol=1e-2, rtol=1e-4)


@pytest.mark.usefixtures("short_runs")
def test_inactive_levels_give_zeros_and_no_gradient(backend, device):
    points, table = torch.rand(100, 3, device=device), random_table(SPEC, device)
    features, jacobian = hash_encode(points, table, SPEC, 2, backend=backend)
    assert features[:, :4].abs().min() > 0
    assert not features[:, 4:].any()
    assert not jacobian[:, 4:].any()
    (features.sum() + jacobian.sum()).backward()
    assert table.grad[: SPEC.levels[2].offset].any()
    assert not table.grad[SPEC.levels[2].offset :].any()


def test_points_beyond_the_cube_are_clamped_and_constant(backend, device):
    table = random_table(SPEC, device)
    outside = torch.tensor([[-3.0, 0.5, 0.5], [float("inf"), 0.5, 0.5]], device=device)
    features, jacobian = hash_encode(outside, table, SPEC, backend=backend)
    assert_close(features, hash_features(outside.clamp(0.0, 1.0), table, SPEC, backend=backend), atol=1e-5, rtol=1e-5)
    assert not jacobian[..., 0].any()
    assert jacobian[..., 1:].any()


def test_no_points(backend, device):
    table = random_table(SPEC, device)
    features, jacobian = hash_encode(torch.zeros(0, 3, device=device), table, SPEC, backend=backend)
    assert features.shape == (0, 6)
    assert jacobian.shape == (0, 6, 3)
    (features.sum() + jacobian.sum()).backward()
    assert not table.grad.any()


def test_numba_repeats_to_the_bit():
    points, table = torch.rand(5000, 3), random_table(SPEC, torch.device("cpu"))
    runs = []
    for _ in range(2):
        table.grad = None
        features, jacobian = hash_encode(points, table, SPEC, backend="numba")
        (features.square().sum() + jacobian.square().sum()).backward()
        runs.append((features.detach(), jacobian.detach(), table.grad))
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_auto_is_numba_for_float32_and_reference_for_float64_on_a_cpu():
    points, table = torch.rand(100, 3), random_table(SPEC, torch.device("cpu"))
    assert torch.equal(hash_features(points, table, SPEC), hash_features(points, table, SPEC, backend="numba"))
    assert hash_features(points.double(), table.double(), SPEC).dtype == torch.float64


def test_an_unknown_or_unfit_backend_is_refused():
    points, table = torch.rand(1, 3), random_table(SPEC, torch.device("cpu"))
    with pytest.raises(ValueError, match="Expected backend to be one of"):
        hash_features(points, table, SPEC, backend="cuda")
    with pytest.raises(ConfigError, match="float32"):
        hash_features(points.double(), table.double(), SPEC, backend="numba")
