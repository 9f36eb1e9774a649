"""Renders a mesh from several sides into one PNG, without a GPU or a display: render_mesh.py MESH OUT.png"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

from utils.errors import InputError
from utils.images import write_png
from utils.mesh.files import read_mesh
from utils.mesh.rasterise import orbit_views
from utils.visualise import side_by_side


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
