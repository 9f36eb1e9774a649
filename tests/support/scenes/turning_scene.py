"""Small drawn photographs of a turning object before a still wall, and of a walk round an object on a plain desk."""

import numpy as np

WIDTH, HEIGHT = 160, 120
_AXIS, _RADIUS, _TOP, _BOTTOM = 80, 22, 25, 95  # pixels: a cylinder that turns round its own axis


def turntable_photos(num: int = 24, shift: int = 0, seed: int = 0, texture: float = 0.0) -> list[np.ndarray]:
    """(HEIGHT, WIDTH, 3) uint8 of a cylinder with prints in one turn; each photo with its own exposure and noise.

    shift: pixels by which the camera was moved; texture: contrast of the wall's pattern, 0 for plain paper."""
    random = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float64), np.arange(HEIGHT, dtype=np.float64))
    wall = 0.5 + 0.25 * (x + shift) / WIDTH + 0.1 * np.cos((y + shift) / 30.0)
    wall += texture * (np.sin((x + shift) * 0.9) * np.sin((y + 2 * shift) * 0.7))
    inside = silhouette(shift)
    across = np.clip((x - _AXIS - shift) / _RADIUS, -1.0, 1.0)
    photos = []
    for turn in 2.0 * np.pi * np.arange(num) / num:
        angle = np.arcsin(across) + turn
        prints = 0.35 + 0.3 * np.sign(np.sin(3.0 * angle) * np.sin(y / 6.0))
        image = np.stack([np.where(inside, prints * tint, wall) for tint in (1.0, 0.7, 0.3)], axis=2)
        image = image * np.exp(random.normal(0.0, 0.04)) + random.normal(0.0, 0.008, image.shape)
        photos.append((image.clip(0.0, 1.0) * 255.0).astype(np.uint8))
    return photos


def plate_photos(num: int = 24, contrast: float = 0.04, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(HEIGHT, WIDTH, 3) uint8 of a plate that turns before a wall, and its silhouettes (HEIGHT, WIDTH) bool.

    The plate is broad in most photos and narrow in few. Its lower half is red, its upper half brighter than the wall
    behind it by the share `contrast`; there are prints along its middle."""
    random = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float64), np.arange(HEIGHT, dtype=np.float64))
    wall = np.repeat((0.5 + 0.1 * np.sin(x / 60.0) + 0.05 * np.cos(y / 40.0))[..., None], 3, axis=2)
    photos, silhouettes = [], []
    for turn in np.pi * np.arange(num) / num:
        inside = (np.abs(x - _AXIS) < 3.0 + 27.0 * abs(np.cos(turn))) & (y >= _TOP) & (y < _BOTTOM)
        plate = np.where((y < 60.0)[..., None], wall * (1.0 + contrast), (0.6, 0.1, 0.1))
        prints = (np.abs(x - _AXIS) < 10.0) & (np.sin(0.4 * y + 5.0 * turn) > 0.0)
        plate = plate * np.where(prints, 0.6, 1.0)[..., None]
        image = np.where(inside[..., None], plate, wall) + random.normal(0.0, 0.004, wall.shape)
        photos.append((image.clip(0.0, 1.0) * 255.0).astype(np.uint8))
        silhouettes.append(inside)
    return photos, silhouettes


def silhouette(shift: int = 0) -> np.ndarray:
    """(HEIGHT, WIDTH) bool: the cylinder in `turntable_photos`."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    return (np.abs(x - _AXIS - shift) < _RADIUS) & (y >= _TOP) & (y < _BOTTOM)


def walk_photos(num: int = 24, lamp: float = 0.5, seed: int = 0, edge: float | None = None) -> list[np.ndarray]:
    """(HEIGHT, WIDTH, 3) uint8 on a walk round a ball on a desk without any texture, under one lamp of a strength.

    The camera is held by hand: its height, distance and aim waver. The corners of the pictures are darker. edge: the
    radius of the desk; beyond it lies a floor of one darkness."""
    random = np.random.default_rng(seed)
    u, v = np.meshgrid((np.arange(WIDTH) + 0.5) / WIDTH - 0.5, (np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / WIDTH)
    vignette = 1.0 - 0.3 * (np.square(u) + np.square(v))
    photos = []
    for turn in 2.0 * np.pi * np.arange(num) / num:
        height, distance = 0.6 + random.normal(0.0, 0.03), 0.9 + random.normal(0.0, 0.04)
        centre = np.array([distance * np.cos(turn), distance * np.sin(turn), height])
        ahead = np.array([0.0, 0.0, 0.1]) + random.normal(0.0, 0.03, 3) - centre
        ahead /= np.linalg.norm(ahead)
        right = np.cross(ahead, [0.0, 0.0, 1.0]) / np.linalg.norm(np.cross(ahead, [0.0, 0.0, 1.0]))
        rays = u[..., None] * right + v[..., None] * np.cross(ahead, right) + 0.8 * ahead
        desk = centre - centre[2] / np.minimum(rays[..., 2:], -0.05) * rays
        light = np.array([1.2, 0.6, 1.5]) - desk
        shade = 0.3 + lamp * 1.5**2 * light[..., 2] / np.linalg.norm(light, axis=2) ** 3
        if edge is not None:
            shade = np.where(np.hypot(desk[..., 0], desk[..., 1]) > edge, 0.15, shade)
        unit = rays / np.linalg.norm(rays, axis=2, keepdims=True)
        ball = np.linalg.norm(np.cross(np.array([0.0, 0.0, 0.15]) - centre, unit), axis=2) < 0.15
        image = np.where(ball, 0.2, shade) * vignette * np.exp(random.normal(0.0, 0.03))
        image += random.normal(0.0, 0.008, image.shape)
        photos.append(np.repeat((image.clip(0.0, 1.0) * 255.0).astype(np.uint8)[..., None], 3, axis=2))
    return photos
