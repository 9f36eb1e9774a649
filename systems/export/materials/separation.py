"""Separates what a surface is made of from the light on it, at some points of the surface that photographs show."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from systems.export.materials.directions import directions
from systems.export.materials.shading import ROUGHNESSES, Paper, Sights, mirrored

ROWS = 24  # of the map of light
STEPS, RATE = 220, 0.06  # of Adam
NOISE = 0.02  # of a photograph, in square roots of linear light
DARKEST, BRIGHTEST = 0.03, 0.9  # albedo
USUAL = 0.8  # albedo of the brightest of a surface, where nothing tells
LIKE = (0.1, 0.4, 1.6)  # how far albedos of one material, of one object lie apart, in logarithms
DRAWN = 400  # points that are compared with one another in a step
GROUPS = 24  # of points that lie close and look alike; each has one roughness
AGAIN = 0.5  # of the steps, after which points are grouped anew, by albedo
GROUP_NEAR, GROUP_LIKE = 2.0, 1.5  # weights of places and of logarithms of colours, by which points are grouped
FEW, EVEN, LIMITS, SMOOTH, CALM = 0.3, 1.0, 20.0, 0.1, 0.02  # weights of priors
WHITE, MEAN, SCALE, PURE, APART = 2.5, 25.0, 0.6, 1.0, 0.2  # and more of them
WARM = 0.3  # how much less warm and cool light costs than green and purple


@dataclass(frozen=True)
class Looks:
    """What photographs show of some points."""

    seen: Sights
    light: Tensor  # (O, 3) linear, in [0, 1]
    full: Tensor  # (O, 3) bool: as bright as a photograph can be, and maybe brighter


@dataclass(frozen=True)
class Separation:
    """What was found; albedo and light share a factor for each channel that no photograph can tell."""

    surroundings: Tensor  # (K, 3) linear radiance, a map of ROWS rows
    bounce: Tensor  # (3,) mean radiance of the surface
    albedo: Tensor  # (P, 3)
    roughness: Tensor  # (P,) of the coat, in (0, 1], one for each group of points


def groups_of(places: Tensor, colors: Tensor) -> Tensor:
    """(P,) int64: k-means of places (P, 3), whose spread is 1, and logarithms of colours (P, 3)."""
    features = torch.cat([places * GROUP_NEAR, colors * GROUP_LIKE], dim=1)
    centres = features[
        torch.randperm(len(features), generator=torch.Generator().manual_seed(1))[:GROUPS].to(features.device)
    ]
    for _ in range(12):
        group = torch.cdist(features, centres).argmin(dim=1)
        count = torch.bincount(group, minlength=len(centres))[:, None]
        sums = torch.zeros_like(centres).index_add(0, group, features)
        centres = torch.where(count > 0, sums / count.clamp(min=1), centres)
    return torch.cdist(features, centres).argmin(dim=1)


def separate(white: Paper, neighbours: Tensor, looks: Looks, places: Tensor) -> Separation:
    """Finds the light, the albedos of P points and their roughness that explain their looks, by Adam.

    neighbours: (P, N) int64, the nearest points of each; places: (P, 3) of the points.
    A look is albedo times what white paper shows, plus what the coat mirrors. Many lights explain the looks of a matt
    surface, so albedos are few and change seldom: the entropy of their distribution is low (Barron & Malik 2015,
    "Shape, illumination, and reflectance from shading", section 4.2), and the light is white on average and smooth."""
    count, device = len(white.near), white.near.device
    generator = torch.Generator().manual_seed(0)
    first = _mean_look(looks, count)
    with torch.enable_grad():
        glow = torch.zeros(2 * ROWS**2, 3, device=device).requires_grad_()
        matt = first.clamp(min=1e-3).log().requires_grad_()  # rather than albedo: looks tell it, whatever the light
        polish = torch.zeros(GROUPS, len(ROUGHNESSES), device=device).requires_grad_()
        places = places - places.mean(dim=0)
        places = places / places.square().sum(dim=1).mean().sqrt().clamp(min=1e-12)
        group = groups_of(places, matt.detach())
        size = torch.bincount(group, minlength=GROUPS) / count
        optimizer = torch.optim.Adam([glow, matt, polish], lr=RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS, 0.05 * RATE)
        bounce, row = first.mean(dim=0), looks.seen.row
        for step in range(STEPS):
            optimizer.zero_grad()
            light = glow.exp()
            albedo = matt - white.shows(light, bounce).clamp(min=1e-3).log()
            if step == int(AGAIN * STEPS):
                with torch.no_grad():
                    told = polish[group]
                    group = groups_of(places, albedo.detach())
                    size = torch.bincount(group, minlength=GROUPS) / count
                    polish.copy_(
                        torch.zeros_like(polish).index_add(0, group, told) / (count * size[:, None]).clamp(min=1)
                    )
            shares = polish.softmax(dim=1)
            usual = (size[:, None] * polish).sum(dim=0)
            shown = F.embedding(row, matt.exp()) + mirrored(light, looks.seen, F.embedding(group[row], shares), bounce)
            drawn = torch.randperm(count, generator=generator)[:DRAWN].to(device)
            loss = _misfit(shown, looks) + _of_albedo(albedo, neighbours, drawn) + cost_of_light(glow)
            # Two roughnesses in bright light look like one in dim light: at first all are tried, in the end one wins.
            loss = loss - PURE * step / STEPS * (size @ (shares * shares.clamp(min=1e-6).log())).sum()
            loss = loss + APART * (size @ (polish - usual).square()).mean()
            loss.backward()
            optimizer.step()
            schedule.step()
            bounce = matt.detach().exp().mean(dim=0)
    roughness = ((3.0 * polish.detach()).softmax(dim=1) @ torch.tensor(ROUGHNESSES, device=device))[group]
    return Separation(glow.exp().detach(), bounce, albedo.exp().detach(), roughness)


def _mean_look(looks: Looks, count: int) -> Tensor:
    """(P, 3) the mean of the looks of each point, of square roots, which a gloss brightens less."""
    sums = torch.zeros(count, 4, device=looks.light.device)
    rows = torch.cat([looks.light.sqrt(), torch.ones_like(looks.light[:, :1])], dim=1)
    sums = sums.index_add(0, looks.seen.row, rows)
    return (sums[:, :3] / sums[:, 3:].clamp(min=1.0)) ** 2


def _misfit(shown: Tensor, looks: Looks) -> Tensor:
    """How little the looks are explained, in the noise of a photograph, robustly."""
    apart = (shown + 1e-3).sqrt() - (looks.light + 1e-3).sqrt()
    apart = torch.where(looks.full, apart.clamp(max=0.0), apart) / NOISE
    return F.huber_loss(apart, torch.zeros_like(apart), delta=1.5)


def _of_albedo(albedo: Tensor, neighbours: Tensor, drawn: Tensor) -> Tensor:
    """Its entropy over the surface, how often it changes, and how far it leaves what there is; logarithms (P, 3)."""
    some = albedo[drawn]
    length = some.square().sum(dim=1)
    apart = length[:, None] + length[None] - 2.0 * some @ some.T
    entropy = sum(-(-apart / (4.0 * like**2)).exp().mean().log() for like in LIKE)
    jumps = ((albedo[:, None] - F.embedding(neighbours, albedo)).square().sum(dim=-1) + 1e-4).sqrt().mean()
    beyond = F.relu(albedo - math.log(BRIGHTEST)) + F.relu(math.log(DARKEST) - albedo)
    brightest = albedo.amax(dim=1)
    brightest = brightest[brightest > torch.quantile(brightest.detach(), 0.9)].mean() - math.log(USUAL)
    return FEW * entropy + EVEN * jumps + LIMITS * beyond.square().mean() + SCALE * brightest.square()


def cost_of_light(glow: Tensor) -> Tensor:
    """How coloured the light is, in all and from each direction, and how it changes; logarithms (K, 3).

    Daylight and lamps differ from red to blue, which costs less than what is green or purple (Judd, MacAdam & Wyszecki
    1964, "Spectral distribution of typical daylight as a function of correlated color temperature")."""
    hue = glow - glow.mean(dim=1, keepdim=True)
    warm = (hue[:, 0] - hue[:, 2]) / math.sqrt(2.0)
    picture = glow.reshape(ROWS, 2 * ROWS, 3)
    aside = (picture - picture.roll(1, dims=1)).abs().mean() + picture.diff(dim=0).abs().mean()
    ring = (1.0 - directions(ROWS)[:, 2].to(glow) ** 2).sqrt()[:, None]  # texels are smaller near the poles
    mean = torch.log((glow.exp() * ring).sum(dim=0) / ring.sum())
    colour = WHITE * (hue.square().sum(dim=1) - (1.0 - WARM) * warm.square()).mean() / 3.0
    colour = colour + MEAN * (mean - mean.mean()).square().mean()
    return colour + SMOOTH * aside + CALM * (glow - glow.mean()).square().mean()
