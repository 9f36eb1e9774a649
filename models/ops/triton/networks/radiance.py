"""Density and colour of samples on a GPU: two networks, one behind the other, of which only features, opacity and
colour pass through memory."""

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from models.ops.cards import card_of
from models.ops.fused import MLP, network_misfits
from models.ops.layers import RadianceHeads
from models.ops.triton.networks import radiance_kernels as kernels
from models.ops.triton.networks.tiles import (
    OUTPUTS,
    launch_options,
    operand_precision,
    partial_gradients,
    sum_gradients,
    tile_shape,
    transposed,
)
from utils.rays import RaySamples

# what the kernels of a backward pass are compiled for, of `constants`
OF_COLOR = "D", "WIDTH", "H", "COLORS", "SQUASH", "FORWARD", "BACKWARD"
OF_DENSITY = "K", "INPUTS", "HIDDEN", "D", "EXPONENTIAL", "FORWARD", "BACKWARD"


def fits(heads: RadianceHeads, num_features: int, num_harmonics: int) -> bool:
    """Whether the kernels compute these heads: a density of one hidden layer and a colour of two, without biases."""
    networks = heads.density, heads.color
    widths = num_features, heads.density.weights[-1].shape[0] + num_harmonics
    return (
        [len(network.weights) for network in networks] == [2, 3]
        and all(bias is None for network in networks for bias in network.biases)
        and not any(network.softplus or network.full_fp32 for network in networks)
        and not heads.density.squash
        and num_harmonics <= OUTPUTS.value
        and not any(network_misfits(network, width, MLP) for network, width in zip(networks, widths, strict=True))
    )


def constants(heads: RadianceHeads, num_features: int, num_harmonics: int) -> dict[str, Any]:
    """What the kernels are compiled for."""
    shape = tile_shape(num_features, heads.density.weights)
    half = heads.density.allow_fp16 and heads.color.allow_fp16
    wide = {"INPUTS": shape["INPUTS"], "HIDDEN": max(shape["HIDDEN"], heads.color.weights[0].shape[0])}
    types = operand_precision(card_of(heads.density.weights[0].device), half, wide)
    return {
        **shape,
        "WIDTH": heads.color.weights[0].shape[0],
        "H": num_harmonics,
        "COLORS": heads.color.weights[-1].shape[0],
        "BIAS": heads.bias,
        "EXPONENTIAL": heads.activation == "trunc_exp",
        "SQUASH": heads.color.squash,
        "FORWARD": types["FORWARD"],
        "BACKWARD": types["BACKWARD"],
    }


def evaluate(
    features: Tensor,
    harmonics: Tensor,
    weights: Sequence[Tensor],
    packed: RaySamples,
    settings: dict[str, Any],
    kept: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Opacity (S,) and colour (S, 3), and for a backward pass (S,) what the density is the activation of and, if they
    are to be kept, the outputs (S, D) of its network, as the colour's multiplies them.

    features: (S, K); harmonics: (R, H) of the rays; weights: of the density, then of the colour."""
    S, kind = features.shape[0], features.dtype
    alpha, raw = torch.empty(2, S, device=features.device)
    color, out = alpha.new_empty(S, settings["COLORS"]), None
    if kept:
        out = features.new_empty(settings["D"], S, dtype=kind).t()
    options = launch_options(card_of(features.device).tiles.forward, max(settings["HIDDEN"], settings["WIDTH"]))
    kernels.forward_kernel[(triton.cdiv(S, options["BLOCK"]),)](
        features=transposed(features),
        harmonics=harmonics.contiguous(),
        weights=_contiguous(weights),
        samples_of=_of_samples(packed),
        alpha=alpha,
        color=color,
        raw=raw,
        kept=transposed(out),
        S=S,
        **settings,
        **options,
    )
    return alpha, color, raw, out


def differentiate(
    features: Tensor,
    harmonics: Tensor,
    weights: Sequence[Tensor],
    packed: RaySamples,
    settings: dict[str, Any],
    found: tuple[Tensor, Tensor, Tensor],
    grads: Sequence[Tensor | None],
    reached: tuple[Tensor, Tensor],
) -> tuple[Tensor, list[Tensor]]:
    """Gradients of features and weights from those of opacity and colour; the hidden layers are computed again.

    found: what `evaluate` returns beside the opacity; reached: places (S,) of the samples that a gradient reaches, and
    how many they are. The gradient of the features (S, K) has theirs side by side."""
    (color, raw, out), (grad_alpha, grad_color) = found, (None if grad is None else grad.contiguous() for grad in grads)
    S, device, BACKWARD = len(features), features.device, settings["BACKWARD"]
    kind = torch.bfloat16 if BACKWARD == "bf16" else torch.float32
    grad_features, grad_out = torch.empty_like(features, dtype=kind), None
    of_color = [torch.zeros_like(weight) for weight in weights[2:]] if grad_color is None else None
    if grad_color is not None:  # by as many programs as run at once: two fit the registers of a multiprocessor
        partial, grad_out = partial_gradients(S, weights[2:], 2), torch.empty_like(out, dtype=kind)
        kernels.backward_color_kernel[(partial.shape[0],)](
            out=transposed(out),
            harmonics=harmonics.contiguous(),
            weights=_contiguous(weights[2:]),
            ray_indices=packed.ray_indices.contiguous(),
            reached=reached,
            color=color,
            grad_color=grad_color,
            grad_out=transposed(grad_out),
            partial=partial,
            total=partial.shape[1],
            S=S,
            **{name: settings[name] for name in OF_COLOR},
            **launch_options(card_of(device).tiles.backward, settings["WIDTH"]),
        )
        of_color = sum_gradients(partial, weights[2:])
    partial = partial_gradients(S, weights[:2])
    kernels.backward_density_kernel[(partial.shape[0],)](
        features=transposed(features),
        weights=_contiguous(weights[:2]),
        t_starts=packed.t_starts.contiguous(),
        t_ends=packed.t_ends.contiguous(),
        reached=reached,
        raw=raw,
        grad_alpha=grad_alpha,
        grad_out=transposed(grad_out),
        grad_features=transposed(grad_features),
        partial=partial,
        total=partial.shape[1],
        S=S,
        **{name: settings[name] for name in OF_DENSITY},
        **launch_options(card_of(device).tiles.backward, settings["HIDDEN"]),
    )
    return grad_features, [*sum_gradients(partial, weights[:2]), *of_color]


def _contiguous(weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(weight.contiguous() for weight in weights)


def _of_samples(packed: RaySamples) -> tuple[Tensor, ...]:
    """Rays, beginnings and ends of the intervals, and how many there are."""
    parts = packed.ray_indices, packed.t_starts, packed.t_ends
    return *(part.contiguous() for part in parts), packed.num_samples
