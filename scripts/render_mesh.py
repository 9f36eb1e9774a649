"""Renders a mesh from several sides into one PNG, without a GPU or a display: render_mesh.py MESH OUT.png"""

import argparse
import sys
from pathlib import Path

import numpy as np
import trimesh

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

from utils.errors import InputError
from utils.images import srgb_from_linear, write_png
from utils.mesh import Mesh, Texture
from utils.rasterise import orbit_views
from utils.visualise import side_by_side, to_uint8


def read_mesh(path: Path) -> Mesh:
    """The triangles of a ply, obj, glb, stl or off file, and its vertex colours or texture if it has any."""
    if not path.is_file():
        raise InputError(f"{path}: no such file. Give the path of a mesh, for example exp/<name>/<tag>/save/*.obj.")
    try:
        found = _one_mesh(trimesh.load_scene(path, process=False))
    except Exception as error:  # trimesh raises whatever its parsers raise
        raise InputError(
            f"{path}: expected a ply, obj, glb, stl or off mesh, got an unreadable file: {error}"
        ) from error
    if not len(getattr(found, "faces", ())):
        raise InputError(f"{path}: expected a mesh with triangles, got none. A point cloud cannot be rendered.")
    faces = np.array(found.faces, np.int64)
    return Mesh(np.array(found.vertices, np.float64), faces, colors=_colors(found), texture=_texture(found, faces))


def _one_mesh(scene: trimesh.Scene) -> trimesh.Trimesh:
    """What a file holds, in its own coordinates; only a single mesh keeps all its colours when it is put there."""
    if len(scene.geometry) != 1:
        return scene.to_mesh()
    ((name, found),) = scene.geometry.items()
    matrix, _ = scene.graph[scene.graph.geometry_nodes[name][0]]
    return found.apply_transform(matrix)


def _colors(found: trimesh.Trimesh) -> np.ndarray | None:
    """(V, 3) uint8 sRGB of the vertices; None without any."""
    if found.visual.kind == "vertex":
        return np.array(found.visual.vertex_colors[:, :3])
    linear = getattr(found.visual, "vertex_attributes", {}).get("color")  # of a glb with a material
    return None if linear is None else to_uint8(srgb_from_linear(linear[:, :3]))


def _texture(found: trimesh.Trimesh, faces: np.ndarray) -> Texture | None:
    """The picture of the base colour and where faces (F, 3) lie on it; None without one."""
    places, material = getattr(found.visual, "uv", None), getattr(found.visual, "material", None)
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if places is None or image is None:
        return None
    return Texture(
        np.array(image.convert("RGB")), places * [1.0, -1.0] + [0.0, 1.0], faces
    )  # trimesh counts from below


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mesh", type=Path, help="ply, obj, glb, stl or off")
    parser.add_argument("out", type=Path, help="PNG to write")
    parser.add_argument("--views", type=int, default=4, help="pictures, evenly around the mesh (default: 4)")
    parser.add_argument("--size", type=int, default=512, help="width and height of each, in pixels (default: 512)")
    parser.add_argument("--color", choices=("normal", "shaded", "vertex", "texture"), default="shaded")
    parser.add_argument("--up", choices=("z", "y"), default="z", help="axis that points up (default: z)")
    parser.add_argument("--flat", action="store_true", help="one normal per face, which shows the triangles")
    args = parser.parse_args(argv)
    try:
        if min(args.views, args.size) < 1:
            raise InputError(f"--views and --size: expected at least 1, got {args.views} and {args.size}.")
        mesh = read_mesh(args.mesh)
        if args.color == "vertex" and mesh.colors is None:
            raise InputError(f"{args.mesh}: has no vertex colours to show. Use --color shaded or --color normal.")
        if args.color == "texture" and mesh.texture is None:
            raise InputError(
                f"{args.mesh}: has no texture to show. Use --color shaded, or vertex where it has colours."
            )
        views = orbit_views(mesh, args.views, args.size, args.color, args.up, smooth=not args.flat)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    write_png(args.out, side_by_side(views))
    print(f"{args.out}: {args.views} views of {len(mesh.faces)} faces")
    return 0


if __name__ == "__main__":
    sys.exit(main())
