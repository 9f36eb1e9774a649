"""A textured box on a textured floor, rendered by casting rays: small frames that structure from motion can work on."""

from functools import cache

import cv2
import numpy as np

from datasets.poses import look_at

WIDTH, HEIGHT, FOCAL = 240, 180, 220.0
_BOX = np.array([0.5, 0.4, 0.45])  # half its sides; it stands on the floor
_FLOOR, _CELLS = 3.0, 40  # half the side of the floor; patches along a texture


@cache
def texture(seed: int) -> np.ndarray:
    """(512, 512, 3) float32 patches of random colours at two sizes."""
    random = np.random.default_rng(seed)
    layers = [
        cv2.resize(random.uniform(20, 235, (cells, cells, 3)), (512, 512), interpolation=cv2.INTER_NEAREST)
        for cells in (_CELLS // 4, _CELLS)
    ]
    return (0.5 * layers[0] + 0.5 * layers[1]).astype(np.float32)


def orbit_of_cameras(num: int, degrees: float = 120.0) -> np.ndarray:
    """(num, 3, 4) OpenCV cameras on an arc around the box, at a height that changes."""
    turn = np.radians(np.linspace(0.0, degrees, num))
    spots = np.stack([2.6 * np.cos(turn), 2.6 * np.sin(turn), 1.6 + 0.25 * np.sin(3.0 * turn)], axis=1)
    return np.stack([look_at(spot, np.array([0.0, 0.0, 0.3]), np.array([0.0, 0.0, 1.0])) for spot in spots])


def render(c2w: np.ndarray, backdrop: np.ndarray | None = None, box: np.ndarray | None = None) -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8 what a camera (3, 4) sees, smoothed by four samples per pixel.

    backdrop: (2 * HEIGHT, 2 * WIDTH, 3) what the camera sees instead of the floor, wherever it is; box: (4, 4) where
    the box was moved to, a rigid motion."""
    x, y = np.meshgrid((np.arange(2 * WIDTH) + 0.5) / 2, (np.arange(2 * HEIGHT) + 0.5) / 2)
    rays_of_floor = np.stack([(x - WIDTH / 2) / FOCAL, (y - HEIGHT / 2) / FOCAL, np.ones_like(x)], axis=-1)
    rays_of_floor = rays_of_floor @ c2w[:, :3].T
    box_from_world = np.eye(4) if box is None else np.linalg.inv(box)
    rays_of_box = rays_of_floor @ box_from_world[:3, :3].T
    image = np.full(rays_of_floor.shape, 128.0, np.float32) if backdrop is None else backdrop.astype(np.float32)
    depth = np.full(x.shape, np.inf)
    centre = np.array([0.0, 0.0, _BOX[2]])
    for face in range(7) if backdrop is None else range(1, 7):  # the floor, then the sides of the box
        axis, height, middle, reach = 2, 0.0, np.zeros(3), np.full(3, _FLOOR)
        rays, origin = rays_of_floor, c2w[:, 3]
        if face:
            rays, origin = rays_of_box, box_from_world[:3, :3] @ c2w[:, 3] + box_from_world[:3, 3]
            axis, sign = divmod(face - 1, 2)
            height, middle, reach = centre[axis] + (2 * sign - 1) * _BOX[axis], centre, _BOX
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (height - origin[axis]) / rays[..., axis]
            place = (origin + distance[..., None] * rays - middle) / reach
        across = [i for i in range(3) if i != axis]
        hit = (distance > 0) & (distance < depth) & (np.abs(place[..., across]) < 1.0).all(axis=-1)
        pixels = np.clip((place[hit][:, across] + 1.0) * 256.0, 0, 511).astype(int)
        image[hit] = texture(face)[pixels[:, 0], pixels[:, 1]]
        depth[hit] = distance[hit]
    return cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8)


def render_all(cameras: np.ndarray) -> list[np.ndarray]:
    """What each of the cameras (N, 3, 4) sees, see `render`."""
    return [render(camera) for camera in cameras]
