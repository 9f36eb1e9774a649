"""Where visitors stand at first: upright, in front of the object, at a distance at which it fills the window."""

from dataclasses import dataclass

import numpy as np

from models.occupancy import OccupancyGrid
from systems.viewer.photos import ViewerScene
from utils.mesh.stand import Stand

FOV = 0.8  # vertical, radians
MARGIN = 1.05  # times the distance at which the object just fits
ALL_ROUND = 0.35  # length of the mean of horizontal unit directions below which the cameras go all round
LOWEST, HIGHEST = -0.2, 0.5  # radians above the horizon
OUTER = 99.0  # percent of the occupied cells that lie in the ball of the object; the rest may be specks


@dataclass(frozen=True)
class StartView:
    """A camera to begin with, and to come back to; all in the scene frame."""

    centre: np.ndarray  # (3,) float64, that it looks at
    direction: np.ndarray  # (3,) float64, unit length, from there to the camera
    up: np.ndarray  # (3,) float64, unit length
    radius: float  # of the ball that fills the window

    def position(self, aspect: float) -> np.ndarray:
        """(3,) where the camera stands, farther off for a narrow window; aspect: its width by its height."""
        half = np.arctan(np.tan(0.5 * FOV) * min(aspect, 1.0))
        return self.centre + MARGIN * self.radius / np.sin(half) * self.direction


def upward(stand: Stand, otherwise: np.ndarray) -> np.ndarray:
    """(3,) float64 what is up in the scene frame: for exported files, where that is known, else `otherwise` (3,)."""
    return np.asarray(otherwise if stand.up is None else stand.up, np.float64)


def start_view(scene: ViewerScene, up: np.ndarray, ball: tuple[np.ndarray, float]) -> StartView:
    """In front is where most training cameras are, on average; where they go all round, the first one.

    up: (3,) unit length; ball: centre (3,) and radius of the object."""
    centre, radius = ball
    ways = scene.c2w[:, :, 3].astype(np.float64) - centre
    heights = ways @ up
    level = ways - heights[:, None] * up
    lengths = np.linalg.norm(level, axis=1)
    level /= np.maximum(lengths, 1e-9)[:, None]
    mean = level.mean(axis=0)
    front = mean if np.linalg.norm(mean) > ALL_ROUND else level[0]
    if np.linalg.norm(front) < 1e-3:  # right above the object
        front = np.cross(up, np.eye(3)[np.abs(up).argmin()])
    above = float(np.clip(np.median(np.arctan2(heights, lengths)), LOWEST, HIGHEST))
    direction = np.cos(above) * front / np.linalg.norm(front) + np.sin(above) * up
    return StartView(centre, direction / np.linalg.norm(direction), up, radius)


def occupied_ball(occupancy: OccupancyGrid) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius of a ball around the cells that may hold surface, at most the region's."""
    cells = occupancy.occupied.view(-1).nonzero()[:, 0]
    if not len(cells):
        return np.zeros(3), occupancy.radius
    points = occupancy.points_in_cells(cells, 0.5).cpu().numpy().astype(np.float64)
    low, high = np.percentile(points, [100.0 - OUTER, OUTER], axis=0)
    centre = 0.5 * (low + high)
    reach = np.percentile(np.linalg.norm(points - centre, axis=1), OUTER)
    return centre, float(min(reach, occupancy.radius))
