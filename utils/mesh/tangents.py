"""Frames of textured surfaces, in which pictures of normals are told."""

import numpy as np

from utils.mesh import Mesh


def corner_vertices(mesh: Mesh) -> np.ndarray:
    """(U,) int64 the vertex at each place of the texture; where charts meet, a vertex has several places."""
    vertex = np.zeros(len(mesh.texture.places), np.int64)
    vertex[mesh.texture.corners] = mesh.faces
    return vertex


def tangents(mesh: Mesh) -> np.ndarray:
    """(U, 4) float64 at each place of the texture of a mesh with normals, as glTF asks.

    First the unit direction on the surface that is to the right on the picture; then 1, or -1 where normal x tangent is
    down on the picture rather than up."""
    normals = mesh.normals[corner_vertices(mesh)].astype(np.float64)
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    u, v, w = (mesh.texture.places[mesh.texture.corners[:, k]] * [1.0, -1.0] for k in range(3))  # up, not down
    first, second, right, left = b - a, c - a, v - u, w - u
    area = right[:, 0] * left[:, 1] - right[:, 1] * left[:, 0]
    side = np.sign(area)[:, None]  # times the area: large faces count more
    along = (first * left[:, 1:] - second * right[:, 1:]) * side
    upward = (second * right[:, :1] - first * left[:, :1]) * side
    sums = np.zeros((2, len(normals), 3))
    for k in range(3):
        np.add.at(sums[0], mesh.texture.corners[:, k], along)
        np.add.at(sums[1], mesh.texture.corners[:, k], upward)
    flat = sums[0] - normals * (sums[0] * normals).sum(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    other = np.cross(normals, np.eye(3)[np.abs(normals).argmin(axis=1)])
    other /= np.linalg.norm(other, axis=1, keepdims=True).clip(min=1e-12)
    tangent = np.where(length > 1e-12, flat / length.clip(min=1e-12), other)
    turn = (np.cross(normals, tangent) * sums[1]).sum(axis=1, keepdims=True)
    return np.hstack([tangent, np.where(turn < 0.0, -1.0, 1.0)])
