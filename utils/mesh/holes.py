"""The holes of a mesh: the loops that its boundary runs in, and patches that close them."""

import numpy as np

from utils.mesh import Mesh
from utils.numba_cache import cached_njit

MAX_CORNERS = 300  # of a loop that is filled at once, with work that grows with the cube; longer ones are cut in two


def boundary_loops(mesh: Mesh) -> list[np.ndarray]:
    """The loops that the boundary of a welded mesh runs in, each (n,) int64 vertices with the surface on the left.

    An edge is on the boundary where no face uses it the other way round. A loop that comes back to one of its vertices
    counts as two that touch there. A closed mesh has none; the longest come first."""
    opened = _open_vertices(mesh)
    if not len(opened):
        return []
    near = mesh.faces[_touching(mesh, opened)]  # all faces around the vertices of the boundary
    start, end = near.ravel(), np.roll(near, -1, axis=1).ravel()
    order = np.lexsort([np.maximum(start, end), np.minimum(start, end)])
    opposite = _opposites(start, end, order)
    is_open = np.zeros(len(mesh.vertices), bool)
    is_open[opened] = True
    # Other edges without a neighbour are those where `near` ends inside the surface.
    on_boundary = (opposite < 0) & is_open[start] & is_open[end]
    loops = [loop for chain in _chains(opposite, on_boundary) for loop in _without_touching(start[chain])]
    return sorted(loops, key=lambda loop: -loop_length(mesh, loop))


def loop_length(mesh: Mesh, loop: np.ndarray) -> float:
    """The perimeter of a loop of vertices (n,), in units of the vertices."""
    points = mesh.vertices[loop]
    return float(np.linalg.norm(points - np.roll(points, -1, axis=0), axis=1).sum())


def close_loops(mesh: Mesh, loops: list[np.ndarray]) -> Mesh:
    """The mesh with a patch across each of the given boundary loops, wound as the faces around it.

    A patch has the least area that triangles between the corners of its loop can have (Barequet and Sharir 1995,
    Filling gaps in the boundary of a polyhedron). It adds no vertices and no edge that the mesh has already; a loop
    that cannot be filled so stays open."""
    near = mesh.faces[_touching(mesh, _open_vertices(mesh))]
    patches = [mesh.faces]
    for loop in loops:
        corners = loop[::-1]  # the patch lies on the other side of the edges
        patches += [corners[part] for part in _patch(mesh.vertices[corners], _joined(near, corners))]
    return Mesh(mesh.vertices, np.concatenate(patches), mesh.normals, mesh.colors)


def _open_vertices(mesh: Mesh) -> np.ndarray:
    """(B,) int64: vertices where some edge has a face on one side only."""
    labels = np.random.default_rng(0).integers(1, 2**62, len(mesh.vertices))
    return np.flatnonzero(_imbalance(mesh.faces, labels))


def _touching(mesh: Mesh, opened: np.ndarray) -> np.ndarray:
    """(F',) int64: faces with one of the vertices (B,) of the boundary."""
    is_open = np.zeros(len(mesh.vertices), bool)
    is_open[opened] = True
    return np.flatnonzero(is_open[mesh.faces].any(axis=1))


def _without_touching(chain: np.ndarray) -> list[np.ndarray]:
    """The loops that a closed chain of vertices (n,) consists of, none with a vertex twice."""
    loops, path, place = [], [], {}
    for vertex in chain.tolist():
        if vertex in place:
            loops.append(np.array(path[place[vertex] :]))
            for left in path[place[vertex] :]:
                del place[left]
            del path[len(path) - len(loops[-1]) :]
        place[vertex] = len(path)
        path.append(vertex)
    return [*loops, np.array(path)]


def _joined(faces: np.ndarray, loop: np.ndarray) -> np.ndarray:
    """(n, n) bool: corners of a loop (n,) between which an edge of the faces (F, 3) runs."""
    order = np.argsort(loop)
    corner = order[np.searchsorted(loop[order], faces).clip(max=len(loop) - 1)]
    corner[loop[corner] != faces] = len(loop)
    joined = np.zeros((len(loop) + 1,) * 2, bool)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        joined[corner[:, a], corner[:, b]] = joined[corner[:, b], corner[:, a]] = True
    return joined[:-1, :-1]


def _patch(points: np.ndarray, joined: np.ndarray) -> list[np.ndarray]:
    """Triangles (T, 3) int64 in parts that fill a polygon (n, 3); [] where none do without an edge between a joined
    pair, which gains the pairs that a long polygon is cut between."""
    pieces, parts = [np.arange(len(points))], []
    while pieces:
        piece = pieces.pop()
        if len(piece) > MAX_CORNERS:
            i, j = _shortest_cut(points[piece], joined[np.ix_(piece, piece)])
            if i < 0:
                return []
            pieces += [piece[i : j + 1], np.concatenate([piece[: i + 1], piece[j:]])]
            joined[piece[i], piece[j]] = joined[piece[j], piece[i]] = True
            continue
        triangles = _least_area(points[piece], joined[np.ix_(piece, piece)])
        if not len(triangles):
            return []
        parts.append(piece[triangles])
    return parts


@cached_njit()
def _imbalance(faces, labels):
    """(V,) int64, not 0 where the edges that leave a vertex do not lead to where those that reach it come from."""
    total = np.zeros(len(labels), np.int64)
    for face in range(len(faces)):
        for corner in range(3):
            a, b = faces[face, corner], faces[face, (corner + 1) % 3]
            total[a] += labels[b]
            total[b] -= labels[a]
    return total


@cached_njit()
def _opposites(start, end, order):
    """(E,) int64: the half-edge that runs the other way, each taken once, or -1; `order` puts equal edges together."""
    opposite = np.full(len(start), -1, np.int64)
    for at in range(len(order)):
        edge = order[at]
        other = at + 1
        while opposite[edge] < 0 and other < len(order):
            candidate = order[other]
            if min(start[candidate], end[candidate]) != min(start[edge], end[edge]):
                break
            if max(start[candidate], end[candidate]) != max(start[edge], end[edge]):
                break
            if opposite[candidate] < 0 and start[candidate] == end[edge] and end[candidate] == start[edge]:
                opposite[edge], opposite[candidate] = candidate, edge
            other += 1
    return opposite


@cached_njit()
def _chains(opposite, on_boundary):
    """The half-edges of each loop. From the end of one, the faces around that vertex are walked to the next."""
    left, loops = on_boundary.copy(), []
    for first in range(len(left)):
        if not left[first]:
            continue
        loop, edge = [first], first
        left[first] = False
        while True:
            edge = edge - 2 if edge % 3 == 2 else edge + 1
            while opposite[edge] >= 0:
                edge = opposite[edge]
                edge = edge - 2 if edge % 3 == 2 else edge + 1
            if not left[edge]:
                break
            left[edge] = False
            loop.append(edge)
        loops.append(np.array(loop))
    return loops


@cached_njit()
def _shortest_cut(points, joined):
    """The closest two corners i < j of a polygon that are a quarter of it apart both ways, or -1."""
    n = len(points)
    best, low, high = np.inf, -1, -1
    for i in range(n):
        for j in range(i + n // 4, min(n, i + n - n // 4)):
            length = ((points[i] - points[j]) ** 2).sum()
            if length < best and not joined[i, j]:
                best, low, high = length, i, j
    return low, high


@cached_njit()
def _least_area(points, joined):
    """(n - 2, 3) int64 triangles of the least total area between the corners of a polygon, or none."""
    n = len(points)
    area, middle = np.zeros((n, n)), np.full((n, n), -1)
    for span in range(2, n):
        for i in range(n - span):
            j = i + span
            area[i, j] = np.inf
            if joined[i, j] and span < n - 1:
                continue
            for k in range(i + 1, j):
                u, v = points[k] - points[i], points[j] - points[i]
                x, y, z = u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]
                total = area[i, k] + area[k, j] + 0.5 * np.sqrt(x * x + y * y + z * z)
                if total < area[i, j]:
                    area[i, j], middle[i, j] = total, k
    triangles, count, waiting = np.empty((max(n - 2, 0), 3), np.int64), 0, [(0, n - 1)]
    if n < 3 or middle[0, n - 1] < 0:
        return triangles[:0]
    while len(waiting) > 0:
        i, j = waiting.pop()
        if j - i >= 2:
            k = middle[i, j]
            triangles[count] = i, k, j
            count += 1
            waiting.append((i, k))
            waiting.append((k, j))
    return triangles
