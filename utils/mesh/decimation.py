"""Meshes of fewer faces: by quadric edge collapses, and, where there are far too many, by clusters of vertices."""

import numpy as np

from utils.mesh import Mesh, submesh
from utils.mesh.measures import face_areas, vertex_normals

# How fast the error that a collapse may make grows from pass to pass, and whether edges at the boundary may collapse.
# The first keeps the shape best and takes no longer; the others are for budgets that it does not reach.
ATTEMPTS = (3.0, False), (7.0, False), (7.0, True)
_FINE = 4  # times as many faces remain of clusters as a decimation is to leave
_FACES_PER_CELL = 3.0  # faces that remain for each cell of clustering that the surface passes


def decimate(mesh: Mesh, max_faces: int) -> Mesh:
    """A mesh of at most about `max_faces` faces with the shape of this one (Garland and Heckbert 1997).

    The boundary of an open mesh stays as it is, unless it takes too many faces itself. Normals and colours are lost."""
    if len(mesh.faces) <= max_faces:
        return mesh
    import fast_simplification  # not needed unless it is asked for

    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    size = float((high - low).max())  # the package's thresholds are meant for a mesh of size 1
    points = (mesh.vertices - low) / size
    for aggression, at_boundary in ATTEMPTS:
        vertices, faces = fast_simplification.simplify(
            points, mesh.faces, target_count=max_faces, agg=aggression, preserve_border=not at_boundary
        )
        if len(faces) <= max_faces:
            break
    faces = _without_flaps(faces.astype(np.int64))
    return submesh(Mesh(vertices * size + low, faces), np.ones(len(faces), bool))


def _without_flaps(faces: np.ndarray) -> np.ndarray:
    """The faces (F, 3) without pairs that lie back to back; in flat places collapses leave such flaps on an edge."""
    while True:
        corners = np.sort(faces, axis=1)
        order = np.lexsort(corners.T)
        same = (corners[order[1:]] == corners[order[:-1]]).all(axis=1)
        flat = (corners[:, 1:] == corners[:, :-1]).any(axis=1)
        flat[order[1:][same]] = flat[order[:-1][same]] = True
        if not flat.any():
            return faces
        faces = faces[~flat]


def clustered(mesh: Mesh, max_faces: int) -> Mesh:
    """A mesh to show, before it is decimated to `max_faces`: one of far more faces is left four times as many, about,
    each vertex the mean of those in a cell (Rossignac and Borrel 1993); any other stays as it is.

    Much faster than decimation, which has all threads of Python wait; fine shapes are lost."""
    num_faces = _FINE * max_faces
    if len(mesh.faces) <= 2 * num_faces:
        return mesh
    low = mesh.vertices.min(axis=0)
    spacing = np.sqrt(_FACES_PER_CELL * face_areas(mesh).sum() / num_faces)
    cells = ((mesh.vertices - low) / spacing).astype(np.int64)
    rows, columns = cells[:, 1].max() + 1, cells[:, 0].max() + 1
    keys = (cells[:, 2] * rows + cells[:, 1]) * columns + cells[:, 0]
    _, first, cell, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    vertices = np.stack([np.bincount(cell, mesh.vertices[:, axis]) / counts for axis in range(3)], axis=1)
    faces = cell[mesh.faces]
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    colors = None if mesh.colors is None else mesh.colors[first]
    views = None if mesh.views is None else mesh.views[first]
    return Mesh(vertices, faces, vertex_normals(mesh)[first], colors, views=views)
