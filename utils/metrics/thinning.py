"""Points that cover a mesh at an even spacing, in memory that grows with those that are kept."""

from collections.abc import Iterable, Iterator

import numpy as np

from utils.mesh import Mesh
from utils.numba_cache import cached_njit

_FACES = 2**15  # in a batch of candidates
_LONGEST = 100  # spacings along an edge of a triangle; longer ones are split


def thin(batches: Iterable[np.ndarray], spacing: float) -> np.ndarray:
    """(K, 3) of the points (n, 3) of all batches: no two closer than `spacing`, and each one left out is to one kept.

    A point is kept when none before it is too close, so what comes first counts."""
    kept, num = np.empty((2**16, 3)), 0
    chains = _link(kept, num, spacing)
    for points in batches:
        if num + len(points) > len(kept):
            kept = np.concatenate([kept[:num], np.empty((num + 2 * len(points), 3))])
            chains = _link(kept, num, spacing)
        num = _add(np.ascontiguousarray(points, np.float64), kept, num, *chains, spacing)
    return kept[:num].copy()


def dense_points(mesh: Mesh, spacing: float, box: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of points (n, 3) that cover a mesh inside a box (2, 3), in random order.

    They are the vertices and, in triangles with an edge above the spacing, one point for each spacing² of area."""
    order = rng.permutation(len(mesh.faces))
    used = rng.permutation(np.unique(mesh.faces))
    num_batches = -(-len(order) // _FACES)
    for faces, vertices in zip(np.array_split(order, num_batches), np.array_split(used, num_batches), strict=True):
        triangles = _split(mesh.vertices[mesh.faces[faces]], _LONGEST * spacing, box)
        for part in np.array_split(triangles, max(1, len(triangles) // _FACES)):
            points = np.concatenate([_rows_of_points(part, spacing), mesh.vertices[vertices]])
            vertices = vertices[:0]  # once
            yield rng.permutation(points[((points >= box[0]) & (points <= box[1])).all(axis=1)])


def _split(triangles: np.ndarray, longest: float, box: np.ndarray) -> np.ndarray:
    """(T', 3, 3) triangles with edges of at most `longest` that cover those (T, 3, 3) given, as far as they may meet
    the box (2, 3)."""
    done = []
    while len(triangles):
        near = (triangles.min(axis=1) <= box[1]).all(axis=1) & (triangles.max(axis=1) >= box[0]).all(axis=1)
        triangles = triangles[near]
        edges = np.linalg.norm(triangles - np.roll(triangles, 1, axis=1), axis=2)
        long = edges.max(axis=1, initial=0.0) > longest
        done.append(triangles[~long])
        a, b, c = triangles[long].transpose(1, 0, 2)
        ab, bc, ca = 0.5 * (a + b), 0.5 * (b + c), 0.5 * (c + a)
        parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        triangles = np.concatenate([np.stack(part, axis=1) for part in parts])
    return np.concatenate(done) if done else triangles


@cached_njit()
def _rows_of_points(triangles, spacing):
    """(n, 3) points in triangles (T, 3, 3), in rows along the longest edge of each; none where that is short."""
    num = 0
    for count in (True, False):
        points = np.empty((0 if count else num, 3))
        num = 0
        for t in range(len(triangles)):
            length, first = 0.0, 0
            for k in range(3):
                edge = np.sqrt(((triangles[t, (k + 1) % 3] - triangles[t, k]) ** 2).sum())
                length, first = (edge, k) if edge > length else (length, first)
            if length <= spacing:
                continue
            a, b, c = triangles[t, first], triangles[t, (first + 1) % 3], triangles[t, (first + 2) % 3]
            along = ((c - a) * (b - a)).sum() / length
            height = np.sqrt(max(((c - a) ** 2).sum() - along * along, 0.0))
            rows = max(1, int(height / spacing))
            for i in range(rows):
                v = (i + 0.5) / rows
                columns = max(1, int((1.0 - v) * length / spacing + 0.5))
                for j in range(columns):
                    if not count:
                        points[num] = a + (j + 0.5) / columns * (1.0 - v) * (b - a) + v * (c - a)
                    num += 1
    return points


@cached_njit()
def _bucket(x, y, z, num_buckets):
    """The bucket of a cell, shared with other cells; num_buckets is a power of two."""
    return (x * 73856093 ^ y * 19349663 ^ z * 83492791) & (num_buckets - 1)


@cached_njit()
def _link(kept, num, spacing):
    """Chains of the first `num` points by bucket: the first of each, and the next of each point; -1 ends them."""
    num_buckets = 1
    while num_buckets < 2 * len(kept):
        num_buckets *= 2
    head, following = np.full(num_buckets, -1), np.empty(len(kept), np.int64)
    for k in range(num):
        x, y, z = np.floor(kept[k] / spacing).astype(np.int64)
        bucket = _bucket(x, y, z, num_buckets)
        following[k], head[bucket] = head[bucket], k
    return head, following


@cached_njit()
def _add(points, kept, num, head, following, spacing):
    """Appends to the first `num` of `kept` the points that no point before them is too close to; the new number."""
    for p in range(len(points)):
        x, y, z = int(np.floor(points[p, 0] / spacing)), int(np.floor(points[p, 1] / spacing)), 0
        z = int(np.floor(points[p, 2] / spacing))
        free = True
        for offset in range(27):
            shift = (offset + 13) % 27  # the cell of the point itself first: most are left out for a point in it
            near = _bucket(x + shift // 9 - 1, y + shift // 3 % 3 - 1, z + shift % 3 - 1, len(head))
            k = head[near]
            while k >= 0 and free:
                squared = 0.0
                for axis in range(3):
                    squared += (points[p, axis] - kept[k, axis]) ** 2
                free = squared >= spacing * spacing
                k = following[k]
            if not free:
                break
        if free:
            bucket = _bucket(x, y, z, len(head))
            kept[num] = points[p]
            following[num], head[bucket] = head[bucket], num
            num += 1
    return num
