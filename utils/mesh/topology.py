"""What a mesh is made of: its components, its holes, whether it is closed."""

from dataclasses import dataclass

import numpy as np

from utils.mesh import Mesh
from utils.mesh.measures import components, face_areas, signed_volume, weld_labels
from utils.numba_cache import cached_njit


@dataclass(frozen=True)
class Topology:
    """Counts of a mesh whose vertices at equal positions are one; lengths and areas in its own units."""

    vertices: int  # that faces use
    faces: int  # with three different corners
    components: int
    watertight: bool  # each edge has exactly two faces
    holes: int  # loops of edges that have one face only
    hole_lengths: tuple[float, ...]  # of each, longest first
    nonmanifold_edges: int  # edges of more than two faces
    euler: int  # vertices - edges + faces: 2 for a sphere, 0 for a torus
    area: float
    volume: float | None  # None where it is not watertight


def topology(mesh: Mesh) -> Topology:
    """The counts of a mesh. Vertices at equal positions are merged first: some files store each triangle by itself."""
    corners = weld_labels(mesh.vertices)[mesh.faces]
    positions = np.empty_like(mesh.vertices)
    positions[corners] = mesh.vertices[mesh.faces]
    corners = corners[(corners != np.roll(corners, 1, axis=1)).all(axis=1)]
    used = np.unique(corners)
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    edges, faces_of = np.unique(np.sort(edges, axis=1) @ [len(positions), 1], return_counts=True)
    border = np.stack(np.divmod(edges[faces_of == 1], len(positions)), axis=1)
    loops = loops_of(border)
    lengths = np.bincount(loops, np.linalg.norm(np.diff(positions[border], axis=1)[:, 0], axis=1))
    watertight = bool((faces_of == 2).all())
    return Topology(
        vertices=len(used),
        faces=len(corners),
        components=len(np.unique(components(corners, len(positions))[corners[:, 0]])),
        watertight=watertight,
        holes=len(lengths),
        hole_lengths=tuple(np.sort(lengths)[::-1].tolist()),
        nonmanifold_edges=int((faces_of > 2).sum()),
        euler=len(used) - len(edges) + len(corners),
        area=float(face_areas(mesh).sum()),
        volume=signed_volume(mesh) if watertight else None,
    )


def loops_of(edges: np.ndarray) -> np.ndarray:
    """(E,) int64: the number of the closed loop that each edge (E, 2) lies on, counted from 0.

    Edges are vertex numbers without a direction. Loops that touch at a vertex are told apart; edges that do not close,
    as where three faces meet, count as loops too."""
    if not len(edges):
        return np.zeros(0, np.int64)
    vertices, ends = np.unique(edges, return_inverse=True)
    ends = ends.reshape(-1, 2)
    order = np.argsort(ends.T.ravel(), kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(ends.ravel(), minlength=len(vertices)))])
    return _trace(ends, order % len(edges), starts)


@cached_njit(nogil=True)
def _trace(ends: np.ndarray, at_vertex: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The loops of `loops_of`; the edges at vertex v are at_vertex[starts[v] : starts[v + 1]]."""
    loop, num_loops = np.full(len(ends), -1), 0
    taken = np.zeros(len(ends), np.bool_)
    depth = np.full(len(starts) - 1, -1)  # how many edges of the path lead to a vertex on it
    path, stops = np.empty(len(ends), np.int64), np.empty(len(ends) + 1, np.int64)
    for first in range(len(ends)):
        if taken[first]:
            continue
        length, vertex = 0, ends[first, 0]
        stops[0], depth[vertex] = vertex, 0
        while True:
            edge = -1
            for k in range(starts[vertex], starts[vertex + 1]):
                if not taken[at_vertex[k]]:
                    edge = at_vertex[k]
                    break
            if edge < 0:
                break
            taken[edge] = True
            path[length] = edge
            length += 1
            vertex = ends[edge, 0] + ends[edge, 1] - vertex
            if depth[vertex] >= 0:  # the path has met itself: what lies in between is a loop
                while length > depth[vertex]:
                    length -= 1
                    loop[path[length]] = num_loops
                    if length > depth[vertex]:
                        depth[stops[length]] = -1
                num_loops += 1
            else:
                stops[length], depth[vertex] = vertex, length
        for k in range(length):
            loop[path[k]] = num_loops
        num_loops += length > 0
        for k in range(length + 1):
            depth[stops[k]] = -1
    return loop
