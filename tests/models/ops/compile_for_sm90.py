"""Compiles every Triton kernel for an H100/H200 (sm_90) on a machine without a GPU; run in a process of its own.

A stand-in for the driver names the target, and each launch compiles instead of running. Prints one line per kernel."""

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from models.ops import GridSpec, MirrorSpec, PatchSpec
from models.ops.layers import Layers
from models.ops.triton import hash as triton_hash
from models.ops.triton import mlp as triton_mlp
from models.ops.triton import patches as triton_patches
from models.ops.triton import pixels as triton_pixels
from models.ops.triton import rays as triton_rays
from models.ops.triton import reflection as triton_reflection
from models.ops.triton import samples as triton_samples
from models.ops.triton import sdf as triton_sdf
from models.ops.triton import shading as triton_shading
from models.ops.triton import unbounded as triton_unbounded
from utils.rays import Photographs, Rays, RaySamples, SourceViews

R, S = 64, 1024
launch = JITFunction.run


class Driver:
    """As much of a CUDA driver as compilation asks for."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")


def compile_only(kernel: JITFunction, *args: object, grid: object, warmup: bool, **options: object) -> None:
    """Takes the place of a launch."""
    compiled = launch(kernel, *args, grid=grid, warmup=True, **options)
    assert "cubin" in compiled.asm, f"{kernel.__name__}: no machine code"
    sys.stdout.write(f"{kernel.__module__.split('.')[-1]} {kernel.__name__} {compiled.metadata.shared}\n")


def network(*dims: int, bias: bool, softplus: bool, allow_fp16: bool) -> Layers:
    """Random layers that require gradients."""
    pairs = list(pairwise(dims))
    weights = tuple(torch.randn(b, a, requires_grad=True) for a, b in pairs)
    biases = tuple(torch.randn(b, requires_grad=True) if bias else None for _, b in pairs)
    return Layers(weights, biases, softplus, allow_fp16)


def differentiate(outputs: tuple, *leaves: torch.Tensor | None) -> None:
    """Launches the backward pass."""
    present = [leaf for leaf in leaves if leaf is not None]
    torch.autograd.grad(sum(out.sum() for out in outputs), present)


def main() -> None:
    """Calls each operation, forward and backward."""
    driver.set_active(Driver())
    JITFunction.run = compile_only
    spec, points, count = GridSpec(16, 2, 19, 32, 1.3195), torch.rand(S, 3), torch.tensor(S)
    triton_hash._adds_pairs = lambda device: True
    table = torch.randn(spec.num_entries, 2, requires_grad=True)
    differentiate(triton_hash.hash_encode(points, table, spec, None, count), table)
    differentiate((triton_hash.hash_features(points, table, spec, None),), table)

    rays = Rays(torch.randn(R, 3), torch.randn(R, 3), torch.zeros(R), torch.ones(R))
    triton_rays.march(rays, torch.ones(128, 128, 128, dtype=torch.bool), 1.5, 0.005, torch.rand(R), 0)
    yes = torch.ones(R, dtype=torch.bool)
    around = torch.ones(128, 128, 128, dtype=torch.bool), 1.5, (32, 192), torch.rand(R), yes, yes, 0
    triton_unbounded.march_unbounded(rays, rays, *around)
    index, lengths = torch.zeros(S, dtype=torch.int64), torch.zeros(R, dtype=torch.int64)
    packed = RaySamples(index, torch.zeros(S), torch.ones(S), lengths, lengths, lengths == 0, count)
    alpha, values = torch.rand(S, requires_grad=True), torch.rand(S, 7, requires_grad=True)
    differentiate(triton_rays.composite(alpha, values, packed), alpha, values)
    sdf, gradient = torch.rand(S, requires_grad=True), torch.rand(S, 3, requires_grad=True)
    inv_s = torch.tensor(3.0, requires_grad=True)
    for cameras_move in (False, True):
        directions = rays.directions.clone().requires_grad_(cameras_move)
        own = (sdf, gradient, inv_s, *[directions] * cameras_move)
        differentiate(triton_shading.neus_alpha(sdf, gradient, directions, packed, inv_s, torch.tensor(1.0)), *own)
    harmonics = triton_shading.spherical_harmonics(directions, 4)
    differentiate((harmonics,), directions)
    harmonics = harmonics.detach()
    triton_samples.clip_rays_to_box(rays, 1.5)
    origins = rays.origins.clone().requires_grad_()
    moving = Rays(origins, directions, rays.near, rays.far)
    differentiate((triton_samples.sample_points(moving, packed),), origins, directions)
    cameras = lengths, lengths, torch.zeros(R, 3, 4), torch.ones(R, 4)
    photographs = Photographs(torch.zeros(99, 4, dtype=torch.uint8), *cameras, 0.1, 9.0)
    triton_pixels.rays_of_pixels(photographs, lengths, lengths, torch.ones(3))
    triton_pixels.rays_of_pixels(photographs, lengths, lengths, torch.ones(3), torch.zeros(len(lengths), 2))
    views = SourceViews(photographs, lengths, lengths[:, None], photographs.pixels[:, 0].contiguous(), torch.ones(R))
    homography = torch.eye(3).repeat(R, 4, 1, 1).requires_grad_()
    for patch in (PatchSpec(11, 2), PatchSpec(11)):
        compared = triton_patches.compare_patches(
            homography, lengths, lengths, lengths[:, None].expand(R, 4), views, patch
        )
        differentiate(compared[:1], homography)
    triton_samples.concat_columns((torch.rand(S, 13), torch.rand(S, 3)), harmonics, packed)
    compile_reflections(packed)

    compile_networks(points, count)


def compile_reflections(packed: RaySamples) -> None:
    """Calls what a mirror's colours read, with and without a gate, for cameras that stay and that move."""
    for offset, width, half, moves, by_ray in (
        (None, 12, False, False, True),
        (0.0, 13, False, False, True),
        (0.0, 13, True, True, True),
        (None, 12, True, True, False),
    ):
        dtype = torch.float16 if half else torch.float32
        feature, normal = torch.randn(S, width, dtype=dtype, requires_grad=True), torch.randn(S, 3, requires_grad=True)
        directions = torch.randn(R if by_ray else S, 3, requires_grad=moves)
        spec = MirrorSpec(4, 0.3, offset)
        columns = triton_reflection.reflected_columns(feature, normal, directions, packed if by_ray else None, spec)
        differentiate((columns,), feature, normal, *[directions] * moves)
    x = columns.detach().requires_grad_()
    for allow_fp16 in (True, False):
        layers = network(32, 64, 64, 3, bias=False, softplus=False, allow_fp16=allow_fp16)
        differentiate((triton_mlp.mlp(x, layers, packed.num_samples),), x, *layers.weights)


def compile_networks(points: torch.Tensor, count: torch.Tensor) -> None:
    """Calls the networks for points (S, 3) that stay, and for some that move."""
    features = torch.randn(32, S).t().requires_grad_()
    jacobian = torch.randn(3, 32, S).permute(2, 1, 0).requires_grad_()
    for allow_fp16 in (True, False):
        head = network(35, 64, 13, bias=True, softplus=True, allow_fp16=allow_fp16)
        for moving in ([], [points.clone().requires_grad_()]):
            made = triton_sdf.sdf_mlp_with_gradient(*(moving or [points]), features, jacobian, head)
            differentiate(made, *moving, features, jacobian, *head.weights, *head.biases)
        for dims, bias in (((32, 64, 16), False), ((32, 64, 64, 3), True)):
            layers = network(*dims, bias=bias, softplus=False, allow_fp16=allow_fp16)
            x = torch.randn(S, dims[0], requires_grad=True)
            for full_fp32 in (True, False):
                out = triton_mlp.mlp(x, replace(layers, full_fp32=full_fp32), count)
                differentiate((out,), x, *layers.weights, *layers.biases)
        for full_fp32 in (True, False):
            x = torch.randn(S, 35, requires_grad=True)
            out = triton_mlp.mlp(x, replace(head, full_fp32=full_fp32), count)
            differentiate((out,), x, *head.weights, *head.biases)


if __name__ == "__main__":
    main()
