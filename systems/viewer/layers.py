"""What the page shows besides the model: cameras with their photographs, sparse points, the region."""

from typing import Any

import numpy as np
import viser
from viser.transforms import SO3

from systems.viewer.photos import ViewerScene, camera_distance, downscaled

MAX_CAMERAS = 200  # evenly chosen if there are more
MAX_POINTS = 100_000
THUMBNAIL_WIDTH = 96  # pixels
FRUSTUM_LENGTH = 0.04  # in camera distances
COLOR, POINTS, REGION = (60, 60, 70), (90, 110, 160), (120, 140, 190)


def add_cameras(server: viser.ViserServer, scene: ViewerScene, background: np.ndarray) -> list[Any]:
    """Frusta with thumbnails over a background (3,) in [0, 1]; a click moves the visitor's camera there."""
    chosen = np.unique(np.linspace(0, len(scene) - 1, min(len(scene), MAX_CAMERAS)).round().astype(int))
    return [_add_camera(server, scene, int(index), background) for index in chosen]


def _add_camera(server: viser.ViserServer, scene: ViewerScene, index: int, background: np.ndarray) -> Any:
    (width, height), c2w = scene.sizes[index].tolist(), scene.c2w[index].astype(np.float64)
    wxyz = SO3.from_matrix(c2w[:, :3]).wxyz
    frustum = server.scene.add_camera_frustum(
        f"/cameras/{index}",
        fov=2.0 * np.arctan2(0.5 * height, scene.intrinsics[index, 1]),
        aspect=width / height,
        scale=FRUSTUM_LENGTH * camera_distance(scene),
        thickness=1.0,
        thickness_units="screen",
        color=COLOR,
        image=downscaled(scene, index, THUMBNAIL_WIDTH, background),
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


def add_points(server: viser.ViserServer, scene: ViewerScene) -> list[Any]:
    """The points of structure from motion; nothing if the scene has none."""
    if scene.points is None or not len(scene.points):
        return []
    points = scene.points[:: -(-len(scene.points) // MAX_POINTS)]
    size = 0.002 * camera_distance(scene)
    return [server.scene.add_point_cloud("/points", points, POINTS, point_size=size, precision="float32")]


def add_region(server: viser.ViserServer, radius: float, is_ball: bool) -> list[Any]:
    """The sphere of the region, and its cube if the region is a cube."""
    options = {"color": REGION, "wireframe": True, "cast_shadow": False, "receive_shadow": False, "visible": False}
    shapes = [server.scene.add_icosphere("/region/sphere", radius, subdivisions=2, opacity=0.3, **options)]
    if not is_ball:
        shapes.append(server.scene.add_box("/region/cube", dimensions=(2.0 * radius,) * 3, **options))
    return shapes
