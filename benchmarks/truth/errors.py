"""Shows where a mesh and the truth lie apart: both coloured by their distance to the other, from six sides."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from utils.files import replacing
from utils.mesh import Mesh
from utils.mesh.ply import write_ply
from utils.mesh.rasterise import six_sides
from utils.metrics.sampling import sample_surface
from utils.metrics.surface import box_diagonal
from utils.visualise import side_by_side

FARTHEST = 0.01  # of the diagonal of the truth's box: what lies as far off or farther has the last colour of the scale
SIDES = ("from +x", "from +y", "from -x", "from -y", "from +z", "from -z")
_SAMPLES = 2_000_000  # points that distances are measured to
_LONGEST = 0.01  # of the diagonal: edges are halved until they are shorter, since colours lie at vertices
_STRIP = 26  # pixels of a line of text


def draw_errors(mesh: Mesh, truth: Mesh, stem: Path, size: int = 320) -> list[Path]:
    """Writes STEM-mesh.ply, STEM-truth.ply and STEM.png, and returns their paths; the meshes are in one frame.

    size: pixels of a side of each of the pictures in the PNG."""
    diagonal = box_diagonal(truth)
    coloured = {"mesh": by_distance(mesh, truth, diagonal), "truth": by_distance(truth, mesh, diagonal)}
    paths = [stem.with_name(f"{stem.name}-{name}.ply") for name in coloured]
    stem.parent.mkdir(parents=True, exist_ok=True)
    for path, found in zip(paths, coloured.values(), strict=True):
        write_ply(found, path)
    rows = [
        _titled("the mesh", side_by_side([_named(*view) for view in zip(SIDES, six_sides(mesh, size), strict=True)])),
        _titled("the mesh, by its distance to the truth", side_by_side(six_sides(coloured["mesh"], size, "vertex"))),
        _titled("the truth, by its distance to the mesh", side_by_side(six_sides(coloured["truth"], size, "vertex"))),
    ]
    picture = stem.with_name(f"{stem.name}.png")
    with replacing(picture) as temporary:
        Image.fromarray(np.concatenate([*rows, _scale(rows[0].shape[1])])).save(temporary, "PNG")
    return [*paths, picture]


def by_distance(mesh: Mesh, other: Mesh, diagonal: float) -> Mesh:
    """The mesh, its long edges halved, with colours by the distance to the other; diagonal: of the truth's box."""
    fine = halved(mesh, _LONGEST * diagonal)
    targets = sample_surface(other, _SAMPLES, np.random.default_rng(0))
    distances, _ = cKDTree(targets.positions, balanced_tree=False).query(fine.vertices, workers=-1)
    return replace(fine, colors=colours_of(distances / (FARTHEST * diagonal)))


def colours_of(values: np.ndarray) -> np.ndarray:
    """(N, 3) uint8, sRGB: dark blue for 0, over green to dark red for 1 and more; values: (N,)."""
    grey = np.rint(255.0 * np.clip(values, 0.0, 1.0)).astype(np.uint8)
    return cv2.applyColorMap(grey[:, None], cv2.COLORMAP_TURBO)[:, 0, ::-1]


def halved(mesh: Mesh, longest: float) -> Mesh:
    """The same surface, cut until no edge of a face is longer than `longest`; without normals and colours.

    Each round cuts those faces into four that have a longer edge. Faces beside them keep their corners: what they share
    is the same line."""
    vertices, faces = mesh.vertices, mesh.faces
    while True:
        sides = np.linalg.norm(vertices[faces] - vertices[np.roll(faces, -1, axis=1)], axis=2)
        long = (sides > longest).any(axis=1)
        if not long.any():
            return Mesh(vertices, faces)
        a, b, c = faces[long].T
        count = len(a)
        middles = [0.5 * (vertices[one] + vertices[other]) for one, other in ((a, b), (b, c), (c, a))]
        ab, bc, ca = len(vertices) + np.arange(3 * count).reshape(3, count)
        parts = [np.stack(part, axis=1) for part in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
        vertices = np.concatenate([vertices, *middles])
        faces = np.concatenate([faces[~long], *parts])


def _scale(width: int) -> np.ndarray:
    """(H, width, 3) uint8: the colours from the left to the right, with what they mean above."""
    bar = np.broadcast_to(colours_of(np.linspace(0.0, 1.0, width)), (_STRIP // 2, width, 3))
    text = f"distance, left to right: 0 to {FARTHEST:.0%} of the diagonal of the truth's box, and more"
    return _titled(text, bar)


def _titled(text: str, picture: np.ndarray) -> np.ndarray:
    strip = np.full((_STRIP, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, text, (6, _STRIP - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([strip, picture])


def _named(name: str, picture: np.ndarray) -> np.ndarray:
    named = picture.copy()
    cv2.putText(named, name, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (90, 90, 90), 1, cv2.LINE_AA)
    return named
