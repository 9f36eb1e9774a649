"""Small networks in plain PyTorch: the specification that the fused kernels are tested against."""

import torch
from torch import Tensor
from torch.nn import functional as F

from models.ops.layers import SOFTPLUS_BETA, Layers


def mlp(x: Tensor, layers: Layers, count: Tensor | None = None) -> Tensor:
    """Outputs as in `models.ops.mlp`, padding included."""
    for weight, bias in zip(layers.weights[:-1], layers.biases[:-1], strict=True):
        pre = F.linear(x, weight, bias)
        x = F.softplus(pre, SOFTPLUS_BETA) if layers.softplus else F.relu(pre)
    out = F.linear(x, layers.weights[-1], layers.biases[-1])
    # autocast gives 16 bits, too few for a colour
    return torch.sigmoid(out.to(torch.promote_types(out.dtype, torch.float32))) if layers.squash else out


def sdf_mlp_with_gradient(
    points: Tensor, features: Tensor, jacobian: Tensor, layers: Layers
) -> tuple[Tensor, Tensor, Tensor]:
    """Distance, outputs and gradient as in `models.ops.sdf_mlp_with_gradient`.

    The gradient is an expression of first-order operations, so that one backward pass differentiates it too."""
    K, features = features.shape[1], follow_points(features, points, jacobian)
    with_position = layers.weights[0].shape[1] > K
    x = torch.cat([points * 2.0 - 1.0, features], dim=-1) if with_position else features
    slopes = []
    for weight, bias in zip(layers.weights[:-1], layers.biases[:-1], strict=True):
        pre = F.linear(x, weight, bias)
        if layers.softplus:
            x, slope = F.softplus(pre, SOFTPLUS_BETA), torch.sigmoid(SOFTPLUS_BETA * pre)
        else:
            x, slope = F.relu(pre), (pre > 0).to(pre.dtype)
        slopes.append(slope)
    cotangent = layers.weights[-1][0]
    for slope, weight in zip(reversed(slopes), reversed(layers.weights[:-1]), strict=True):
        cotangent = (cotangent * slope) @ weight
    gradient = torch.einsum("sk,skd->sd", cotangent[..., -K:].expand_as(features), jacobian)
    if with_position:
        gradient = gradient + 2.0 * cotangent[..., :3]
    out = F.linear(x, layers.weights[-1], layers.biases[-1])
    return out[:, 0], out, gradient


def follow_points(features: Tensor, points: Tensor, jacobian: Tensor) -> Tensor:
    """The features (S, K), differentiable in the points (S, 3) by the Jacobian (S, K, 3), which itself does not follow
    them: no second derivative moves a point."""
    if not points.requires_grad:
        return features
    return features + torch.einsum("sd,skd->sk", points - points.detach(), jacobian.detach())
