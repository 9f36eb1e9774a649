"""Renders scenes that are hard to reconstruct, with their true meshes: thin wires, varnish, gold, paint.

    pip install mitsuba
    python -m benchmarks.scenes.hard --out load
    python launch.py --config configs/neus-blender.yaml --train dataset.scene=cage dataset.root_dir=load/cage

Mitsuba 3 traces the paths. Where the package pyoidn is installed too, its denoiser cleans the photographs."""

import math
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.scenes.lights import LIGHTS, Light, map_directions
from benchmarks.scenes.photographs import Shoot, write_views
from benchmarks.scenes.shapes import cage, cow
from utils.errors import ConfigError
from utils.images import srgb_from_linear
from utils.mesh import Mesh
from utils.mesh.measures import vertex_normals
from utils.mesh.ply import write_ply

DISTANCE, ANGLE = 4.0, 0.6  # of the cameras from the origin; horizontal field of view in radians
BOUNCES = 6
FULL = {"photographs": 60, "held": 8, "size": 400, "samples": 32, "resolution": 384}
QUICK = {"photographs": 2, "held": 1, "size": 48, "samples": 4, "resolution": 96}
Paint = Callable[[np.ndarray], dict[str, np.ndarray]]  # points (P, 3) -> values (P, C) of each name
PAINTED = {"type": "principled", "base_color": {"type": "mesh_attribute", "name": "vertex_color"}, "roughness": 0.6}
VARNISH = {
    "type": "principled", "base_color": {"type": "rgb", "value": [0.55, 0.06, 0.05]}, "roughness": 0.12,
    "specular": 0.6, "clearcoat": 0.8, "clearcoat_gloss": 0.95,
}  # fmt: skip
GOLD = {
    "type": "principled", "base_color": {"type": "rgb", "value": [0.85, 0.6, 0.25]}, "roughness": 0.25, "metallic": 1.0,
}  # fmt: skip


def waves(points: np.ndarray) -> dict[str, np.ndarray]:
    """A colour (P, 3) for points (P, 3)."""
    x, y, z = points.T
    found = np.sin(np.stack([7.0 * x + 5.0 * z, 9.0 * y + 1.0, 8.0 * z + 4.0 * x + 2.0], axis=1))
    return {"color": 0.5 + 0.35 * found}


SCENES: dict[str, tuple[Callable[[int], Mesh], dict[str, Any]]] = {
    "cage": (cage, PAINTED),
    "varnish": (lambda _: cow(), VARNISH),
    "gold": (lambda _: cow(), GOLD),
    "painted": (lambda _: cow(), PAINTED),
}


def make_parser() -> common.PlainParser:
    """The flags of the command line."""
    parser = common.PlainParser("scenes.hard", "Renders scenes that are hard to reconstruct.")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets a folder for each scene")
    parser.add_argument("--scenes", nargs="+", choices=list(SCENES), default=list(SCENES), help="(default: all)")
    parser.add_argument("--light", choices=list(LIGHTS), default="day", help="what shines on them (default: day)")
    parser.add_argument("--variant", default="scalar_rgb", help="of Mitsuba, such as cuda_ad_rgb (default: scalar_rgb)")
    parser.add_argument("--quick", action="store_true", help="a few small photographs: shows that it runs")
    for name, value in FULL.items():
        least = 2 if name == "resolution" else 1
        parser.add_argument(f"--{name}", type=common.whole_number(least), metavar="N", help=f"(default: {value})")
    return parser


def work(argv: list[str]) -> int:
    """Writes the scenes; raises ConfigError without Mitsuba, and for a variant that it does not have."""
    args = make_parser().parse_args(argv)
    sizes = {name: getattr(args, name) or value for name, value in (QUICK if args.quick else FULL).items()}
    mitsuba = load_mitsuba(args.variant)
    for name in args.scenes:
        make, material = SCENES[name]
        mesh = make(sizes["resolution"])
        common.progress(f"{name}: {len(mesh.faces)} faces, {sizes['photographs']} photographs")
        root = args.out / name
        shoot = photographer(mitsuba, mesh, material, sizes["size"], sizes["samples"], LIGHTS[args.light])
        write_views(root, sizes["photographs"], sizes["held"], DISTANCE, ANGLE, shoot, at_a_time=1)
        write_ply(Mesh(mesh.vertices, mesh.faces), root / "gt_mesh.ply")
    return 0


def load_mitsuba(variant: str) -> ModuleType:
    """Mitsuba, computing in one of its variants."""
    if find_spec("mitsuba") is None:
        raise ConfigError("the scenes are rendered by Mitsuba 3, which is not installed: pip install mitsuba")
    import mitsuba

    if variant not in mitsuba.variants():
        raise ConfigError(f"--variant {variant}: Mitsuba has {', '.join(mitsuba.variants())}.")
    mitsuba.set_variant(variant)
    return mitsuba


def photographer(
    mitsuba: ModuleType,
    mesh: Mesh,
    material: dict[str, Any],
    size: int,
    samples: int,
    light: Light,
    paint: Paint = waves,
) -> Shoot:
    """What takes a photograph of a mesh under a light; samples: paths of each pixel; paint: as for `shape_of`."""
    scene = mitsuba.load_dict(lit(mitsuba, light) | {"object": shape_of(mitsuba, mesh, material, paint)})
    film = {"type": "hdrfilm", "width": size, "height": size, "pixel_format": "rgba", "rfilter": {"type": "box"}}
    shots = iter(range(2**31))

    def shoot(c2w: np.ndarray) -> np.ndarray:
        stand = mitsuba.ScalarTransform4f().look_at(origin=c2w[:, 3].tolist(), target=[0, 0, 0], up=[0, 0, 1])
        camera = {"type": "perspective", "fov": math.degrees(ANGLE), "fov_axis": "x", "to_world": stand, "film": film}
        found = mitsuba.render(scene, sensor=mitsuba.load_dict(camera), spp=samples, seed=next(shots))
        return developed(np.array(found, np.float32))

    return shoot


def lit(mitsuba: ModuleType, light: Light) -> dict[str, Any]:
    """A scene without an object: how paths are traced, a sky, and lamps that look at the origin."""
    sky = light.sky(map_directions(128))
    upright = mitsuba.ScalarTransform4f().rotate([1, 0, 0], 90)
    image = mitsuba.Bitmap(np.ascontiguousarray(sky, np.float32))
    path = {"type": "path", "max_depth": BOUNCES, "hide_emitters": True}
    found = {
        "type": "scene",
        "integrator": {"type": "aov", "aovs": "albedo:albedo,normal:sh_normal", "image": path},
        "sky": {"type": "envmap", "bitmap": image, "to_world": upright},
    }
    for number, (place, size, radiance) in enumerate(light.lamps):
        stand = mitsuba.ScalarTransform4f().look_at(origin=list(place), target=[0, 0, 0], up=[0.1, 0.2, 1.0])
        emitter = {"type": "area", "radiance": {"type": "rgb", "value": list(radiance)}}
        found[f"lamp{number}"] = {"type": "rectangle", "to_world": stand.scale(size), "emitter": emitter}
    return found


def shape_of(mitsuba: ModuleType, mesh: Mesh, material: dict[str, Any], paint: Paint = waves) -> Any:
    """The mesh for Mitsuba with smooth normals; what its vertices (V, 3) are painted with, (V, C), has names."""
    options = mitsuba.Properties()
    options["material"] = mitsuba.load_dict(material)
    shape = mitsuba.Mesh("object", len(mesh.vertices), len(mesh.faces), has_vertex_normals=True, props=options)
    values = mitsuba.traverse(shape)
    values["vertex_positions"] = mesh.vertices.astype(np.float32).ravel()
    values["vertex_normals"] = vertex_normals(mesh).ravel()
    values["faces"] = mesh.faces.astype(np.uint32).ravel()
    for name, painted in paint(mesh.vertices).items():
        shape.add_attribute(f"vertex_{name}", painted.shape[1], painted.astype(np.float32).ravel())
    values.update()
    return shape


def developed(found: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8, sRGB with straight alpha, of what was rendered: (H, W, 10) premultiplied linear colour, alpha,
    albedo, normal."""
    color, alpha = found[..., :3], found[..., 3:4].clip(0.0, 1.0)
    if find_spec("pyoidn") is not None:
        import pyoidn

        parts = (color, found[..., 4:7].clip(0.0, 1.0), found[..., 7:10])
        color, albedo, normal = (np.ascontiguousarray(part) for part in parts)
        color = pyoidn.denoise(color, albedo=albedo, normal=normal, hdr=True)
    straight = srgb_from_linear((color / np.maximum(alpha, 1e-4)).clip(0.0, 1.0))
    return (np.concatenate([np.where(alpha > 0.0, straight, 0.0), alpha], axis=-1) * 255.0).round().astype(np.uint8)


if __name__ == "__main__":
    sys.exit(common.run_command(work))
