"""How a mesh stands: which way is up, where the ground is, how long a metre is; and the frames of formats that ask."""

from dataclasses import dataclass

import numpy as np

UPRIGHT = "PhotoSurf upright"  # the node of our glTF files that turns the input's frame upright
_Y_FROM_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])  # as Blender turns what it exports


@dataclass(frozen=True)
class Stand:
    """What is known of how an object stands in the frame of its mesh."""

    up: np.ndarray | None = None  # (3,) float64, unit length; None: unknown
    ground: float | None = None  # the object stands on up @ x = ground; None: on its lowest vertex
    metres_per_unit: float | None = None  # None: unknown

    def moved(self, matrix: np.ndarray) -> "Stand":
        """The same in another frame; matrix: (4, 4) similarity, target_from_source."""
        scale = float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))
        metres = None if self.metres_per_unit is None else self.metres_per_unit / scale
        if self.up is None:
            return Stand(metres_per_unit=metres)
        up = matrix[:3, :3] @ self.up / scale
        ground = None if self.ground is None else float(scale * self.ground + up @ matrix[:3, 3])
        return Stand(up, ground, metres)

    @property
    def unit(self) -> str:
        """The unit of files that stand upright, in words."""
        return "scene units" if self.metres_per_unit is None else "metres"

    def upright(self, vertices: np.ndarray, axis: str) -> np.ndarray:
        """(4, 4) similarity that turns `up` into +y or +z (`axis`), the ground at 0, to metres where they are known.

        vertices: (V, 3) of the mesh. It turns by no more than it must: +z up stays as it is for axis "z". Where up is
        unknown nothing turns and nothing moves."""
        matrix = np.eye(4)
        if self.up is not None:
            matrix[:3, :3] = _to_z(self.up)
            matrix[2, 3] = -(float((vertices @ self.up).min()) if self.ground is None else self.ground)
            if axis == "y":
                matrix[:3] = _Y_FROM_Z_UP @ matrix[:3]
        matrix[:3] *= self.metres_per_unit or 1.0
        return matrix


def object_size(vertices: np.ndarray, stand: Stand, scale: float = 1.0) -> dict[str, float | str]:
    """Width, depth and height of what has the vertices (V, 3), in metres where they are known, else times `scale`.

    The height is along up, or along z where up is unknown; width and depth, the smaller one, are the sides of the
    rectangle of least area around the object seen from above."""
    import cv2  # not needed to read and write meshes

    matrix = stand.upright(vertices, "z")[:3, :3]
    spread = (vertices - vertices.mean(axis=0)) @ matrix.T * (1.0 if stand.metres_per_unit else scale)
    sides = sorted(cv2.minAreaRect(spread[:, :2].astype(np.float32))[1], reverse=True)
    lengths = *(float(side) for side in sides), float(np.ptp(spread[:, 2]))
    return dict(zip(("width", "depth", "height"), lengths, strict=True)) | {"unit": stand.unit}


def _to_z(up: np.ndarray) -> np.ndarray:
    """(3, 3) the smallest rotation that turns the unit vector `up` (3,) into +z (Rodrigues)."""
    if up[2] < -1.0 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    turn = np.array([[0.0, 0.0, -up[0]], [0.0, 0.0, -up[1]], [up[0], up[1], 0.0]])
    return np.eye(3) + turn + turn @ turn / (1.0 + up[2])
