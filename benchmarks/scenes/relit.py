"""Photographs under one light, a texture without it, and the same surface under another light, beside the truth.

    pip install mitsuba pyoidn
    python -m benchmarks.scenes.relit

The true mesh is given, so that only `export.material=pbr` is judged, and so is the second light. Without pyoidn the
noise of the truth alone is as large as the error."""

import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from benchmarks import common
from benchmarks.scenes.hard import ANGLE, DISTANCE, load_mitsuba, photographer
from benchmarks.scenes.lights import LIGHTS, Light, lamps_from_afar, map_directions
from benchmarks.scenes.materials import RESOLUTION, SURFACES, Surface
from benchmarks.scenes.photographs import write_views
from datasets.blender import BlenderConfig, BlenderLoader
from systems.export.materials.directions import directions
from systems.export.materials.occlusion import open_directions
from systems.export.materials.shading import HIDING, mirrored, paper, roughness_shares, sights
from systems.export.relightable import bake_relightable
from systems.export.texturing import bake_texture
from utils.cameras import Camera
from utils.images import linear_from_srgb, srgb_from_linear, write_png
from utils.mesh import Mesh, Texture
from utils.mesh.measures import vertex_normals
from utils.mesh.rasterise import visible_faces

FULL = {"photographs": 24, "held": 6, "pixels": 256, "samples": 64, "texels": 512}
QUICK = {"photographs": 6, "held": 1, "pixels": 32, "samples": 2, "texels": 64}
SKY, OPEN = 8 * HIDING, 2 * HIDING  # rows of the maps of the second light, and of what is open to it
Shots = Sequence[tuple[Camera, np.ndarray]]


def make_parser() -> common.Parser:
    """The flags of the command line."""
    parser = common.Parser("scenes.relit", "Relights a surface whose material was found from photographs.")
    parser.add_argument("--scenes", nargs="+", choices=SURFACES, default=list(SURFACES), help="(default: all)")
    parser.add_argument("--variant", default="scalar_rgb", help="of Mitsuba (default: scalar_rgb)")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="photographs, kept, and pictures beside the truth")
    return parser


def work(argv: list[str]) -> int:
    """Measures and writes the figures; raises ConfigError without Mitsuba where there are no photographs yet."""
    args = make_parser().parse_args(argv)
    device = common.chosen_device(args.device)
    sizes = QUICK if args.quick else FULL
    result = common.Result("scenes.relit", "relit", device, args, argv, sizes=sizes)
    folder = args.pictures or result.path.parent / "relit"
    found = {}
    for name in args.scenes:
        surface = SURFACES[name]
        mesh = surface.make(RESOLUTION)
        mesh = replace(mesh, normals=vertex_normals(mesh))
        count = min(surface.photographs, sizes["photographs"])
        first = shots_of(folder / name / surface.first, surface, mesh, count, sizes["pixels"], sizes["samples"], args)
        held = (sizes["held"], sizes["pixels"], 3 * sizes["samples"])
        second = shots_of(folder / name / surface.second, surface, mesh, *held, args)
        light = {"photographs": count, "first": surface.first, "second": surface.second}
        found[name] = light | judge(mesh, first, second, surface.second, sizes["texels"], device, folder / name)
        common.progress(f"{name}: {found[name]}")
        result.write(scenes=found)
    return 0


def shots_of(
    folder: Path, surface: Surface, mesh: Mesh, count: int, pixels: int, samples: int, args: Namespace
) -> Shots:
    """The photographs of a folder, named by their light, with their cameras, taken if they are not there."""
    if not (folder / "transforms_train.json").is_file():
        common.progress(f"{folder.parent.name}: photographs by {folder.name}")
        mitsuba, light = load_mitsuba(args.variant), LIGHTS[folder.name]
        shoot = photographer(mitsuba, mesh, surface.material, pixels, samples, light, surface.paint)
        write_views(folder, count, 0, DISTANCE, ANGLE, shoot, 1)
    scene = BlenderLoader(BlenderConfig(str(folder))).load("train")
    cameras = [Camera(scene.c2w[k], scene.intrinsics[k], scene.sizes[k]) for k in range(len(scene))]
    return [(camera, scene.image(index)) for index, camera in enumerate(cameras)]


def judge(
    mesh: Mesh, first: Shots, second: Shots, light: str, texels: int, device: torch.device, folder: Path
) -> dict[str, Any]:
    """dB within the masks of pictures by the second light: of what was relit, and of the photographs as a texture."""

    def grey(points: np.ndarray, toward: np.ndarray) -> np.ndarray:
        return np.full_like(points, 0.5)

    started = time.perf_counter()
    made = bake_relightable(mesh, texels, grey, lambda: first, device=device)
    seconds = time.perf_counter() - started
    baked = bake_texture(mesh, texels, grey, first)
    write_png(folder / "albedo.png", made.texture.image)
    write_png(folder / "roughness.png", made.texture.roughness)
    hits = [Hits(mesh, camera, image) for camera, image in second]
    truth = np.concatenate([hit.truth for hit in hits])
    matt, gloss = relit(made, hits, LIGHTS[light], device)
    shown = np.concatenate([linear_from_srgb(baked.texture.sample(hit.places(baked.texture))) for hit in hits])
    factors, own = aligned(matt, gloss, truth)
    _, plain = aligned(shown, np.zeros_like(shown), truth)
    for index, part in enumerate(np.split(np.arange(len(truth)), np.cumsum([len(hit.truth) for hit in hits])[:-1])):
        beside = [hits[index].picture(colors[part]) for colors in (truth, own, plain)]
        write_png(folder / f"relit_{index}.png", np.concatenate(beside, axis=1))
    rough = made.texture.roughness / 255.0
    return {
        "relit_psnr": psnr(own, truth),
        "unrelit_psnr": psnr(plain, truth),
        "gain": common.rounded(psnr(own, truth) - psnr(plain, truth)),
        "factors": [common.rounded(factor) for factor in factors],
        "roughness": common.rounded(float(np.median(rough))),
        "seconds": common.rounded(seconds),
    }


class Hits:
    """The pixels of a photograph that a mesh covers wholly, and where on it they look."""

    def __init__(self, mesh: Mesh, camera: Camera, image: np.ndarray) -> None:
        face, weights = visible_faces(camera.project(mesh.vertices), mesh.faces, camera.size)
        self.inside = (face >= 0) & (image[..., 3] == 255)
        self.truth = image[self.inside][:, :3] / 255.0
        self.face, self.weights = face[self.inside], weights[self.inside][..., None].astype(np.float64)
        self.points, normals = (
            (rows[mesh.faces[self.face]] * self.weights).sum(axis=1) for rows in (mesh.vertices, mesh.normals)
        )
        self.normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        toward = camera.c2w[:, 3] - self.points
        self.toward = toward / np.linalg.norm(toward, axis=1, keepdims=True)

    def places(self, texture: Texture) -> np.ndarray:
        """(N, 2) of the pixels on a texture."""
        return (texture.places[texture.corners[self.face]] * self.weights).sum(axis=1)

    def picture(self, colors: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 on white of colours (N, 3) in [0, 1]."""
        found = np.full((*self.inside.shape, 3), 255, np.uint8)
        found[self.inside] = np.rint(colors * 255.0)
        return found


def relit(mesh: Mesh, hits: Sequence[Hits], shone: Light, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) linear light of the matt base, and (N, 3) that the coat mirrors, at all pixels by the second light."""
    points, normals, toward = (
        np.concatenate([getattr(hit, name) for hit in hits]) for name in ("points", "normals", "toward")
    )
    opened = open_directions(mesh, points, normals, directions(OPEN).double().numpy())
    rough = Texture(np.repeat(mesh.texture.roughness[..., None], 3, axis=2), mesh.texture.places, mesh.texture.corners)
    albedo, roughness = (
        np.concatenate([texture.sample(hit.places(texture)) for hit in hits]) for texture in (mesh.texture, rough)
    )
    normals, toward, opened, albedo, roughness = (
        torch.from_numpy(rows.astype(np.float32)).to(device)
        for rows in (normals, toward, opened, linear_from_srgb(albedo), roughness[:, 0])
    )
    sky = shone.sky(map_directions(SKY)) + lamps_from_afar(shone, map_directions(SKY))
    light = torch.from_numpy(sky.reshape(-1, 3).astype(np.float32)).to(device)
    white, bounce = paper(normals, opened), torch.zeros(3, device=device)
    for _ in range(3):
        matt = albedo * white.shows(light, bounce)
        bounce = matt.mean(dim=0)
    every = torch.arange(len(normals), device=device)
    gloss = mirrored(light, sights(every, toward, normals, opened, SKY), roughness_shares(roughness), bounce)
    return matt.cpu().double().numpy(), gloss.cpu().double().numpy()


def aligned(matt: np.ndarray, gloss: np.ndarray, truth: np.ndarray) -> tuple[list[float], np.ndarray]:
    """One factor for each channel of what is matt, which photographs cannot tell, and (N, 3) sRGB with it."""
    factors, shown = [], np.empty_like(truth)
    for channel in range(3):

        def show(size: float, channel: int = channel) -> np.ndarray:
            return srgb_from_linear((np.exp(size) * matt[:, channel] + gloss[:, channel]).clip(0.0, 1.0))

        def miss(size: float, channel: int = channel) -> float:
            return float(((show(size, channel) - truth[:, channel]) ** 2).mean())

        best = float(minimize_scalar(miss, bounds=(-4.0, 4.0), method="bounded").x)
        factors.append(float(np.exp(best)))
        shown[:, channel] = show(best)
    return factors, shown


def psnr(shown: np.ndarray, truth: np.ndarray) -> float:
    """dB of colours in [0, 1]."""
    return common.rounded(float(-10.0 * np.log10(((shown - truth) ** 2).mean())))


if __name__ == "__main__":
    sys.exit(common.run_command(work))
