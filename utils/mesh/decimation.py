"""Meshes of fewer faces, by quadric edge collapses."""

import numpy as np

from utils.mesh import Mesh, submesh

# How fast the error that a collapse may make grows from pass to pass, and whether edges at the boundary may collapse.
# The first keeps the shape best and takes no longer; the others are for budgets that it does not reach.
ATTEMPTS = (3.0, False), (7.0, False), (7.0, True)


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
