"""How many photographs see each vertex of a mesh, and how much of its surface none of them shows."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from utils.cameras import Camera
from utils.mesh import Mesh
from utils.mesh.cropping import seen_by
from utils.mesh.measures import face_areas, vertex_normals

MAX_THREADS = 16  # each holds a picture of depths


def with_view_counts(mesh: Mesh, cameras: Iterable[Camera]) -> Mesh:
    """The mesh with the number of cameras, at most 65535, that see each vertex: it is in frame, no face hides it, and
    its normal points to the camera's side."""
    normals = vertex_normals(mesh) if mesh.normals is None else mesh.normals

    def seen_vertices(camera: Camera) -> np.ndarray:
        facing = np.flatnonzero(((camera.c2w[:, 3] - mesh.vertices) * normals).sum(axis=1) > 0.0)
        return facing[seen_by(camera, mesh, facing)]

    counts = np.zeros(len(mesh.vertices), np.int64)
    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        for vertices in pool.map(seen_vertices, cameras):
            counts[vertices] += 1
    return replace(mesh, views=np.minimum(counts, 65535).astype(np.uint16))


def unseen_area_share(mesh: Mesh) -> float:
    """The share in [0, 1] of the area of a mesh with view counts that no camera sees; each corner has a third of its
    face."""
    areas = face_areas(mesh)
    return float((areas * (mesh.views[mesh.faces] == 0).mean(axis=1)).sum() / areas.sum())
