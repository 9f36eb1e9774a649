"""Normal maps: a mesh of few faces is shaded like the one of many faces that it was made from."""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numba import prange

from utils.mesh import Mesh
from utils.mesh.atlas import Covered, paint
from utils.mesh.measures import area_vectors
from utils.numba_cache import cached_njit, cached_parallel

MAX_SIDE = 2048  # texels
TEXELS = 5.0  # of the picture for each vertex of the full mesh, about, of which charts cover four fifths
CANDIDATES = 4  # vertices of the full mesh around which the nearest point is searched
CHUNK = 2**20  # texels at a time
FLAT = 1e-3  # volume of three axes of which a face without extent in the picture has no more
LEAST_Z = 1.0 / 127.5  # the format has no normals that point into the surface


class FullMesh:
    """A mesh of many faces, with normals, of which others show the nearest points; what finds them is made once."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh

    @cached_property
    def tables(self) -> tuple[Any, ...]:
        """A tree of the vertices that faces use, those vertices, and what `_nearest_normals` reads of the mesh."""
        from scipy.spatial import cKDTree  # a third of a second, which only exports with small meshes need

        mesh = self.mesh
        used = np.flatnonzero(np.bincount(mesh.faces.reshape(-1), minlength=len(mesh.vertices)))
        order = np.argsort(mesh.faces.reshape(-1), kind="stable")
        starts = np.searchsorted(mesh.faces.reshape(-1)[order], np.arange(len(mesh.vertices) + 1))
        tree = cKDTree(mesh.vertices[used], balanced_tree=False)
        read = mesh.vertices, mesh.normals.astype(np.float64), mesh.faces, area_vectors(mesh), starts, order // 3
        return tree, used, read

    def normals_near(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """(P, 3) float64 unit normals at the points of the mesh that are nearest to points (P, 3) among the faces that
        look to the same side as the unit normals (P, 3); those themselves where no face near does."""
        tree, used, read = self.tables
        points, normals = (np.ascontiguousarray(rows, np.float64) for rows in (points, normals))
        out = np.empty(points.shape)
        for start in range(0, len(points), CHUNK):
            part = slice(start, start + CHUNK)
            _, near = tree.query(points[part], k=min(CANDIDATES, len(used)), workers=-1)
            near = used[near.reshape(len(points[part]), -1)]
            out[part] = _nearest_normals(points[part], normals[part], near, *read)
        return out


def with_normal_map(mesh: Mesh, full: FullMesh) -> Mesh:
    """The mesh, whose texture has a picture of the normals of `full`; without texture, as it is.

    A texel has the normal of the nearest point of `full` on the same side, as coordinates along the tangent to the
    right in the picture, the bitangent up in the picture, and the normal of the mesh, which shaders interpolate between
    vertices: c of [t b n] c = normal, scaled to unit length. One that is there stays."""
    if mesh.texture is None or mesh.texture.normals is not None or len(mesh.faces) >= len(full.mesh.faces):
        return mesh
    places, corners = mesh.texture.places, mesh.texture.corners
    enough = 2 ** round(0.5 * np.log2(TEXELS * len(full.mesh.vertices)))  # a power of two, as some readers want
    size = min(mesh.texture.image.shape[0], MAX_SIDE, enough)
    vertex = vertex_of_places(mesh)
    tangents, normals = vertex_tangents(mesh), mesh.normals[vertex]
    axes = tangents[:, :3], np.cross(normals, tangents[:, :3]) * tangents[:, 3:], normals
    covered = Covered.by(corners, places, corners, size)
    split = [covered.directions(axis) for axis in axes]  # what shaders interpolate, one by one
    target = full.normals_near(covered.between(mesh.vertices[vertex]), split[2])
    found = _along(*split, target)
    return replace(mesh, texture=replace(mesh.texture, normals=paint(covered, 0.5 * found + 0.5, size)))


@cached_njit(error_model="numpy")
def _along(tangents, bitangents, normals, targets):
    """(T', 3) unit length: targets as shares of the three axes, by Cramer's rule."""
    out = np.zeros(targets.shape)
    for i in range(len(targets)):
        t, b, n, target = tangents[i], bitangents[i], normals[i], targets[i]
        volume = _triple(t, b, n)
        if abs(volume) > FLAT:
            out[i, 0] = _triple(target, b, n) / volume
            out[i, 1] = _triple(t, target, n) / volume
            out[i, 2] = max(_triple(t, b, target) / volume, LEAST_Z)
            length = np.sqrt(_dot(out[i], out[i]))
            for axis in range(3):
                out[i, axis] /= length
        else:
            out[i, 2] = 1.0
    return out


def vertex_of_places(mesh: Mesh) -> np.ndarray:
    """(U,) int64: the vertex of the mesh that each place of its texture belongs to."""
    vertex = np.zeros(len(mesh.texture.places), np.int64)
    vertex[mesh.texture.corners] = mesh.faces
    return vertex


def vertex_tangents(mesh: Mesh) -> np.ndarray:
    """(U, 4) float64 at the places of the texture: where the picture's right points to along the surface, unit length,
    square to the normal, and w, ±1: cross(normal, tangent) * w points up in the picture, as glTF 2.0 has it.

    The gradient of each face's places (Lengyel 2001), weighted by its area and made square to the vertex normal."""
    places, corners = mesh.texture.places, mesh.texture.corners
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    (u1, v1), (u2, v2) = (places[corners[:, k]].T - places[corners[:, 0]].T for k in (1, 2))
    turn = np.sign(u1 * v2 - u2 * v1)  # -1 in a chart that is not mirrored, since v points down
    right = turn[:, None] * (v2[:, None] * (b - a) - v1[:, None] * (c - a))
    length = np.linalg.norm(right, axis=1, keepdims=True)
    weight = np.linalg.norm(area_vectors(mesh), axis=1)
    right *= weight[:, None] / np.where(length > 0.0, length, 1.0)
    sums, mirrored = np.zeros((len(places), 3)), np.zeros(len(places))
    for k in range(3):
        np.add.at(sums, corners[:, k], right)
        np.add.at(mirrored, corners[:, k], turn * weight)
    normals = mesh.normals[vertex_of_places(mesh)].astype(np.float64)
    sums -= (sums * normals).sum(axis=1, keepdims=True) * normals
    lost = np.linalg.norm(sums, axis=1) <= 1e-9 * max(weight.max(initial=0.0), 1e-300)
    sums[lost] = np.cross(normals[lost], np.eye(3)[np.abs(normals[lost]).argmin(axis=1)])
    return np.hstack([sums / np.linalg.norm(sums, axis=1, keepdims=True), np.where(mirrored > 0.0, -1.0, 1.0)[:, None]])


@cached_parallel()
def _nearest_normals(points, normals, near, vertices, vertex_normals, faces, outward, starts, faces_of):
    out = normals.copy()
    for p in prange(len(points)):
        best = np.inf
        for vertex in near[p]:
            for entry in range(starts[vertex], starts[vertex + 1]):
                face = faces_of[entry]
                if _dot(outward[face], normals[p]) <= 0.0:
                    continue
                i, j, k = faces[face]
                distance, v, w = _closest(points[p], vertices[i], vertices[j], vertices[k])
                if distance < best:
                    best = distance
                    for axis in range(3):
                        at = vertex_normals[i, axis], vertex_normals[j, axis], vertex_normals[k, axis]
                        out[p, axis] = (1.0 - v - w) * at[0] + v * at[1] + w * at[2]
            if best < np.inf:  # the next vertex is farther
                break
        length = max(np.sqrt(_dot(out[p], out[p])), 1e-12)
        for axis in range(3):
            out[p, axis] /= length
    return out


@cached_njit(error_model="numpy")
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@cached_njit(error_model="numpy")
def _triple(a, b, c):
    """a . (b x c)"""
    x, y, z = b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]
    return a[0] * x + a[1] * y + a[2] * z


@cached_njit(error_model="numpy")
def _closest(p, a, b, c):
    """Squared distance from p to the triangle, and the weights of b and c at the point there."""
    uu = uv = vv = ur = vr = rr = 0.0
    for axis in range(3):
        u, v, r = b[axis] - a[axis], c[axis] - a[axis], p[axis] - a[axis]
        uu, uv, vv, ur, vr, rr = uu + u * u, uv + u * v, vv + v * v, ur + u * r, vr + v * r, rr + r * r
    det = uu * vv - uv * uv
    s, t = (vv * ur - uv * vr) / det, (uu * vr - uv * ur) / det
    if not (det > 0.0 and s >= 0.0 and t >= 0.0 and s + t <= 1.0):  # it lies on an edge: a b, a c, or b c
        on_ab = min(max(ur / max(uu, 1e-300), 0.0), 1.0)
        on_ac = min(max(vr / max(vv, 1e-300), 0.0), 1.0)
        on_bc = min(max((vr - ur + uu - uv) / max(uu - 2.0 * uv + vv, 1e-300), 0.0), 1.0)
        least = np.inf
        for x, y in ((on_ab, 0.0), (0.0, on_ac), (1.0 - on_bc, on_bc)):
            distance = rr - 2.0 * (x * ur + y * vr) + x * x * uu + 2.0 * x * y * uv + y * y * vv
            if distance < least:
                least, s, t = distance, x, y
        return least, s, t
    return rr - 2.0 * (s * ur + t * vr) + s * s * uu + 2.0 * s * t * uv + t * t * vv, s, t
