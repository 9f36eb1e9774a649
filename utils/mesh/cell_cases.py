"""The triangles of marching cubes' 256 cases (Lorensen and Cline, 1987), worked out rather than listed.

A case says which of a cell's corners lie inside. On each face of the cell the surface runs around every run of inside
corners, so that two of them that face each other across a diagonal are kept apart. The cell on the other side sees the
same face and does the same, so that no hole is left (Dürst, 1988). The lines join up to rings, and these are cut into
triangles."""

import math
from collections.abc import Iterator, Sequence

Corner = tuple[int, int, int]
CORNERS = [(x, y, z) for z in (0, 1) for y in (0, 1) for x in (0, 1)]  # bit i of a case: corner i lies inside
EDGES = [(corner, axis) for axis in range(3) for corner in CORNERS if corner[axis] == 0]  # where it starts; runs along


def triangles_of(case: int) -> list[tuple[int, int, int]]:
    """The triangles of a case in [0, 255], by the indices in EDGES that their corners lie on, wound outward."""
    return [triangle for ring in rings(case) for triangle in _cut(ring)[1]]


def rings(case: int) -> list[list[int]]:
    """The closed lines, by indices in EDGES, in which the surface meets the faces of a cell, wound outward."""
    following = dict(line for face in _faces() for line in _lines(face, case))
    found = []
    while following:
        ring = [min(following)]
        while (edge := following.pop(ring[-1])) != ring[0]:
            ring.append(edge)
        found.append(ring)
    return found


def _faces() -> Iterator[list[Corner]]:
    """The corners of each face of a cell, counterclockwise as seen from outside."""
    for axis in range(3):
        for side in (0, 1):
            face = []
            for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)):
                corner = [side, u, v]
                face.append(tuple(corner[(i - axis) % 3] for i in range(3)))
            yield face if side else face[::-1]


def _lines(face: Sequence[Corner], case: int) -> Iterator[tuple[int, int]]:
    """From which edge to which the surface runs on a face: around each run of corners that lie inside."""
    inside = [bool(case >> CORNERS.index(corner) & 1) for corner in face]
    for first in range(4):
        if inside[first] and not inside[first - 1]:
            last = next(i for i in range(first, first + 4) if not inside[(i + 1) % 4])
            yield _edge(face[first - 1], face[first]), _edge(face[last % 4], face[(last + 1) % 4])


def _edge(a: Corner, b: Corner) -> int:
    return EDGES.index((min(a, b), next(axis for axis in range(3) if a[axis] != b[axis])))


def _cut(ring: Sequence[int]) -> tuple[float, list[tuple[int, int, int]]]:
    """Cuts a ring along the shortest diagonals; returns their length in all, and the triangles.

    None lies on a face of the cell, where the neighbour could have the same one and four triangles would meet."""
    if len(ring) < 3:
        return 0.0, []
    cuts = []
    for i in range(1, len(ring) - 1):
        length, triangles = 0.0, [(ring[0], ring[i], ring[-1])]
        for part in (ring[: i + 1], ring[i:]):
            inner, others = _cut(part)
            length += inner + (_diagonal(part[0], part[-1]) if len(part) > 2 else 0.0)
            triangles += others
        cuts.append((length, triangles))
    return min(cuts, key=lambda cut: round(cut[0], 6))


def _diagonal(a: int, b: int) -> float:
    """The distance between the middles of two edges; infinite where both lie on one face of the cell."""
    first, second = (
        [place + 0.5 * (i == axis) for i, place in enumerate(corner)] for corner, axis in (EDGES[a], EDGES[b])
    )
    on_face = any(x == y != 0.5 for x, y in zip(first, second, strict=True))
    return math.inf if on_face else math.dist(first, second)
