"""The operations that benchmarks.ops times, each with the tensors that it has to read and write once.

The docstring of a case is its entry under `counted` in the JSON. Common to all: the forward counts its inputs and its
outputs; the backward counts the same inputs, the gradients that come in and the gradients that go out."""

import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.operations.sphere import RADIUS, STEP, Inputs
from models import ops
from models.base import RenderOutput, SampleValues
from systems.configs import LossConfig, SystemConfig
from systems.consistency import ncc
from systems.steps.optim import LearningRates, build_optimizer
from utils.rays import RayBatch


@dataclass(frozen=True)
class Call:
    """An operation on one set of inputs."""

    forward: Callable[[], tuple[Tensor, ...]]
    reads: tuple[Tensor, ...]  # what both passes have to read
    leaves: tuple[Tensor, ...] = ()  # gradients are asked for these; none: there is no backward
    forward_bytes: int = 0  # beside `reads` and the outputs


@dataclass(frozen=True)
class Case:
    """An operation, what its inputs look like, and how a call of it is made."""

    op: str
    family: str | None  # of backends; None: one implementation
    make: Callable[[Inputs, ops.GridSpec, str], Call] = field(repr=False)
    points: str = "rays"  # or random: how the samples lie
    halves: bool = False  # timed under autocast to float16 too

    @property
    def counted(self) -> str:
        """How bytes are counted."""
        make = self.make.func if isinstance(self.make, partial) else self.make
        return " ".join(inspect.getdoc(make).split())


def cases() -> list[Case]:
    """All operations, in the order of a training step."""
    found = [Case("march", "rays", _march)]
    for points in ("rays", "random"):
        found.append(Case("hash_encode", "hash", partial(_hash, points, True), points, halves=True))
        found.append(Case("hash_features", "hash", partial(_hash, points, False), points, halves=True))
    return [
        *found,
        Case("sdf_mlp_with_gradient 35-64-13", "mlp", _sdf_mlp_with_gradient, halves=True),
        Case("encode_sdf 35-64-13", "fields", _encode_sdf, halves=True),
        Case("mlp 32-64-16", "mlp", partial(_mlp, (32, 64, 16)), halves=True),
        Case("spherical_harmonics", "shading", _spherical_harmonics),
        Case("reflected_columns", "reflection", partial(_reflected_columns, 12, None)),
        Case("reflected_columns, mixed", "reflection", partial(_reflected_columns, 13, 0.0)),
        Case("mlp 32-64-64-3", "mlp", partial(_mlp, (32, 64, 64, 3)), halves=True),
        Case("neus_alpha", "shading", _neus_alpha),
        Case("density_alpha", "shading", _density_alpha),
        Case("composite", "rays", _composite),
        Case("ray_losses", "losses", _ray_losses),
        Case("sample_losses", "losses", _sample_losses),
        Case("ncc", None, _ncc),
        Case("adamw", None, _adamw),
    ]


def num_bytes(*tensors: Tensor) -> int:
    """Bytes of all elements."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def forward_bytes(call: Call, outputs: tuple[Tensor, ...]) -> int:
    """Bytes that the forward has to move."""
    return num_bytes(*call.reads, *outputs) + call.forward_bytes


def backward_bytes(call: Call, outputs: tuple[Tensor, ...]) -> int:
    """Bytes that the backward has to move; a gradient is as large as what it belongs to."""
    return num_bytes(*call.reads, *outputs, *call.leaves)


def _march(inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """Reads rays, jitter and the occupied cells at a byte each; writes the packed intervals. No backward."""
    rays, capacity = inputs.rays, len(inputs.points)

    def forward() -> tuple[Tensor, ...]:
        packed = ops.march(rays, inputs.occupied, RADIUS, STEP, inputs.jitter, capacity, backend=backend)
        return tuple(vars(packed).values())

    return Call(forward, (rays.origins, rays.directions, rays.near, rays.far, inputs.jitter, inputs.occupied))


def _hash(points: str, with_jacobian: bool, inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """Reads the points and, in the forward, those table entries that any point touches, in float32; writes features
    and, for hash_encode, the Jacobian. The backward writes the gradient of the whole table."""
    where = inputs.points if points == "rays" else inputs.scattered
    table, count = inputs.table, inputs.packed.num_samples if points == "rays" else None
    encode = ops.hash_encode if with_jacobian else ops.hash_features

    def forward() -> tuple[Tensor, ...]:
        found = encode(where, table, spec, None, count, backend=backend)
        return found if with_jacobian else (found,)

    return Call(forward, (where,), (table,), _touched_bytes(where, table, spec, count))


def _touched_bytes(points: Tensor, table: Tensor, spec: ops.GridSpec, count: Tensor | None) -> int:
    """Bytes of the table's entries that any point touches."""
    (touched,) = torch.autograd.grad(ops.hash_features(points, table, spec, None, count).sum(), table)
    rows = int((touched != 0).any(dim=1).sum())  # weights are positive: none of them cancels another
    return rows * num_bytes(table[0])


def _mlp(dims: tuple[int, ...], inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """Reads inputs and weights; writes outputs. The backward writes the gradients of both."""
    weights = _weights(dims, inputs)
    x = _random((len(inputs.points), dims[0]), inputs).requires_grad_()
    layers = ops.Layers(weights, (None,) * len(weights), softplus=False)
    return Call(lambda: (ops.mlp(x, layers, backend=backend),), (x, *weights), (x, *weights))


def _sdf_mlp_with_gradient(inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """Reads points, features, Jacobian, weights and biases; writes outputs and the gradient by the points. The
    backward writes the gradients of features, Jacobian, weights and biases."""
    with torch.no_grad():
        encoded = ops.hash_encode(inputs.points, inputs.table, spec, backend=backend)  # laid out as in a step
    features, jacobian = (tensor.requires_grad_() for tensor in encoded)
    layers = _sdf_layers(inputs, spec)
    leaves = (features, jacobian, *layers.weights, *layers.biases)
    return Call(
        lambda: ops.sdf_mlp_with_gradient(inputs.points, features, jacobian, layers, backend=backend),
        (inputs.points, *leaves),
        leaves,
    )


def _encode_sdf(inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """Reads points, weights, biases and, in the forward, those table entries that any point touches; writes outputs
    and the gradient by the points. The backward writes the gradients of the whole table, weights and biases. What
    passes from the grid to the network is not counted."""
    layers, count = _sdf_layers(inputs, spec), inputs.packed.num_samples
    leaves = (inputs.table, *layers.weights, *layers.biases)

    def forward() -> tuple[Tensor, ...]:
        return ops.encode_sdf(inputs.points, inputs.table, spec, layers, None, count, backend=backend)

    touched = _touched_bytes(inputs.points, inputs.table, spec, count)
    return Call(forward, (inputs.points, *leaves[1:]), leaves, touched)


def _sdf_layers(inputs: Inputs, spec: ops.GridSpec) -> ops.Layers:
    """Of the network of an SDF; in a step of 16 bits it may multiply such."""
    weights = _weights((spec.output_dim + 3, 64, 13), inputs)
    biases = tuple(_random((len(weight),), inputs).mul_(0.1).requires_grad_() for weight in weights)
    allow_fp16 = torch.is_autocast_enabled(inputs.points.device.type)
    return ops.Layers(weights, biases, softplus=True, allow_fp16=allow_fp16)


def _spherical_harmonics(inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """Reads directions; writes 16 values for each. No backward: the directions are data."""
    return Call(lambda: (ops.spherical_harmonics(inputs.directions, 4, backend=backend),), (inputs.directions,))


def _reflected_columns(width: int, offset: float | None, inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """Reads features, normals and the ray index of each sample, and the directions of the rays; writes 32 values for
    each sample. The backward writes the gradients of features and normals."""
    packed, mirror = inputs.packed, ops.MirrorSpec(4, 0.31, offset)
    feature = _random((len(inputs.points), width), inputs).requires_grad_()
    normal = nn.functional.normalize(inputs.gradient, dim=-1).requires_grad_()
    given = feature, normal, inputs.rays.directions
    return Call(
        lambda: (ops.reflected_columns(*given, packed, mirror, backend=backend),),
        (*given, packed.ray_indices),
        (feature, normal),
    )


def _neus_alpha(inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """Reads SDF, gradient, both ends and ray index of each sample, the directions of the rays and two scalars; writes
    opacity and normal. The backward writes the gradients of SDF, gradient and sharpness."""
    packed = inputs.packed
    sdf, gradient = inputs.sdf.clone().requires_grad_(), inputs.gradient.clone().requires_grad_()
    inv_s = torch.full_like(sdf[0], 100.0, requires_grad=True)
    anneal = torch.full_like(sdf[0].detach(), 0.5)
    read = (packed.t_starts, packed.t_ends, packed.ray_indices, inputs.rays.directions, anneal)
    leaves = (sdf, gradient, inv_s)
    return Call(
        lambda: ops.neus_alpha(sdf, gradient, inputs.rays.directions, packed, inv_s, anneal, backend=backend),
        (*leaves, *read),
        leaves,
    )


def _density_alpha(inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """Reads density and both ends of each sample; writes opacity. The backward writes the gradient of the density."""
    packed, density = inputs.packed, inputs.sdf.abs().requires_grad_()
    return Call(
        lambda: (ops.density_alpha(density, packed, backend=backend),),
        (density, packed.t_starts, packed.t_ends),
        (density,),
    )


def _composite(inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """Reads opacity, colour, normal, the interval of each sample and the place of each ray's samples; writes weights,
    opacity and sums. The backward writes the gradients of opacities and values."""
    packed = inputs.packed
    sharp = torch.full_like(inputs.sdf[0], 100.0)
    blind = torch.zeros_like(sharp)
    alpha, _ = ops.neus_alpha(inputs.sdf, inputs.gradient, inputs.rays.directions, packed, sharp, blind)
    alpha = alpha.detach().requires_grad_()
    values = tuple(_random((len(alpha), 3), inputs).requires_grad_() for _ in range(2))
    return Call(
        lambda: ops.composite(alpha, values, packed, backend=backend),
        (alpha, *values, packed.t_starts, packed.t_ends, packed.ray_start, packed.ray_count),
        (alpha, *values),
    )


def _ray_losses(inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """Squared error of the colour and entropy of the opacity: reads both, the colour and mask of the pixel, the samples
    of each ray and whether it counts. The backward writes the gradients of colour and opacity."""
    packed, rows = inputs.packed, len(inputs.rays)
    rgb, opacity = (_random(shape, inputs).sigmoid().requires_grad_() for shape in ((rows, 3), (rows,)))
    truth, mask = (_random(shape, inputs).sigmoid() for shape in ((rows, 3), (rows,)))
    targets = ops.RayTargets(truth, mask, None, packed.within_budget, packed.ray_count)
    return Call(
        lambda: (ops.ray_losses(("rgb_mse", "mask"), rgb, opacity, None, targets, backend=backend),),
        (rgb, opacity, truth, mask, packed.within_budget, packed.ray_count),
        (rgb, opacity),
    )


def _sample_losses(inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """Eikonal and sparsity loss: reads SDF and gradient of each sample. The backward writes the gradients of both."""
    sdf, gradient = inputs.sdf.clone().requires_grad_(), inputs.gradient.clone().requires_grad_()
    names = "eikonal", "sparsity"
    return Call(
        lambda: (ops.sample_losses(names, sdf, gradient, inputs.packed, 50.0, backend=backend),),
        (sdf, gradient),
        (sdf, gradient),
    )


def _ncc(inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """The loss on patches at its default sizes: reads SDF, gradient, place, both ends and ray index of each sample; the
    pixels of the patches are few beside them. The backward writes the gradients of SDF and gradient."""
    packed, config = inputs.packed, LossConfig({})
    sdf, gradient = inputs.sdf.clone().requires_grad_(), inputs.gradient.clone().requires_grad_()
    points = (inputs.points - 0.5) * (2.0 * RADIUS)
    samples = SampleValues(packed, points, torch.zeros_like(inputs.sdf), sdf, gradient)
    colour, zeros = torch.zeros_like(inputs.rays.origins), torch.zeros_like(inputs.rays.near)
    ball = lambda x: x.norm(dim=-1) - 0.5 * RADIUS  # noqa: E731, in place of the field: its queries are timed elsewhere
    out = RenderOutput(colour, zeros, zeros, colour, packed.within_budget, samples, field=ball)
    batch = RayBatch(inputs.rays, colour, None, colour[0], inputs.image, inputs.pixel, inputs.sources)
    read = (points, packed.t_starts, packed.t_ends, packed.ray_indices)
    return Call(lambda: (ncc(out, batch, config),), (sdf, gradient, *read), (sdf, gradient))


def _adamw(inputs: Inputs, spec: ops.GridSpec, backend: str) -> Call:
    """One step on the whole table: reads parameters, gradients and both moments; writes parameters and both moments.
    No backward."""
    table = nn.Parameter(inputs.table.detach().clone())
    table.grad = _random(table.shape, inputs)
    optimizer = build_optimizer(SystemConfig(LossConfig({})), {"table": [table]})
    LearningRates(optimizer)
    optimizer.step()  # makes the moments
    state = optimizer.state[table]
    written = (table, state["exp_avg"], state["exp_avg_sq"])

    def forward() -> tuple[Tensor, ...]:
        optimizer.step()
        return written

    return Call(forward, (*written, table.grad))


def _weights(dims: tuple[int, ...], inputs: Inputs) -> tuple[Tensor, ...]:
    pairs = itertools.pairwise(dims)
    return tuple(_random((out, into), inputs).mul_(into**-0.5).requires_grad_() for into, out in pairs)


def _random(shape: tuple[int, ...], inputs: Inputs) -> Tensor:
    return torch.randn(shape, generator=inputs.generator, device=inputs.points.device)
