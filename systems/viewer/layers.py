"""What stands still on the page: cameras with their photographs, sparse points, the region."""

from typing import Any

import numpy as np
import viser
from viser.transforms import SO3

from systems.viewer.photos import Photographed, reach, shrunk, upwards

MAX_CAMERAS = 200  # evenly chosen among more
MAX_POINTS = 100_000
THUMBNAIL = 96  # pixels across
FRUSTUM = 0.04  # its length, in distances of the cameras from the middle
BEHIND, BESIDE = 1.2, 0.2  # of the first camera, where visitors begin: times its distance, and radians around
COLOR, POINTS, REGION = (60, 60, 70), (90, 110, 160), (120, 140, 190)


def add_cameras(server: viser.ViserServer, scene: Photographed, background: np.ndarray) -> list[Any]:
    """Frusta with small photographs over a background (3,) in [0, 1]; a click takes the visitor's camera there."""
    chosen = np.unique(np.linspace(0, len(scene) - 1, min(len(scene), MAX_CAMERAS)).round().astype(int))
    return [_add_camera(server, scene, int(index), background) for index in chosen]


def _add_camera(server: viser.ViserServer, scene: Photographed, index: int, background: np.ndarray) -> Any:
    (width, height), c2w = scene.sizes[index].tolist(), scene.c2w[index].astype(np.float64)
    wxyz = SO3.from_matrix(c2w[:, :3]).wxyz
    frustum = server.scene.add_camera_frustum(
        f"/cameras/{index}",
        fov=2.0 * np.arctan2(0.5 * height, scene.intrinsics[index, 1]),
        aspect=width / height,
        scale=FRUSTUM * reach(scene),
        thickness=1.0,
        thickness_units="screen",
        color=COLOR,
        image=shrunk(scene, index, THUMBNAIL, background),
        wxyz=wxyz,
        position=c2w[:, 3],
        cast_shadow=False,
        receive_shadow=False,
    )

    @frustum.on_click
    async def _(event: Any) -> None:
        if event.client is not None:
            with event.client.atomic():
                event.client.camera.position = c2w[:, 3]
                event.client.camera.wxyz = wxyz

    return frustum


def add_points(server: viser.ViserServer, scene: Photographed) -> list[Any]:
    """The points of structure from motion; nothing where there are none."""
    if scene.points is None or not len(scene.points):
        return []
    points = scene.points[:: -(-len(scene.points) // MAX_POINTS)]
    size = 0.002 * reach(scene)
    return [server.scene.add_point_cloud("/points", points, POINTS, point_size=size, precision="float32")]


def add_region(server: viser.ViserServer, radius: float, is_ball: bool) -> list[Any]:
    """The sphere of the region, and its cube where that is the region."""
    options = {"color": REGION, "wireframe": True, "cast_shadow": False, "receive_shadow": False, "visible": False}
    shapes = [server.scene.add_icosphere("/region/sphere", radius, subdivisions=2, opacity=0.3, **options)]
    if not is_ball:
        shapes.append(server.scene.add_box("/region/cube", dimensions=(2.0 * radius,) * 3, **options))
    return shapes


def place_visitors(server: viser.ViserServer, scene: Photographed) -> None:
    """Up is where it is for the cameras; visitors begin behind one that looks slightly down, and beside it."""
    up, places = upwards(scene), scene.c2w[:, :, 3].astype(np.float64)
    lengths = np.maximum(np.linalg.norm(places, axis=1), 1e-6)
    first = places[np.abs(places @ up / lengths - 0.35).argmin()]
    server.scene.set_up_direction(up)
    server.initial_camera.up = up
    server.initial_camera.position = BEHIND * (SO3.exp(BESIDE * up).as_matrix() @ first)
    server.initial_camera.look_at = np.zeros(3)
    server.initial_camera.fov = 0.8
