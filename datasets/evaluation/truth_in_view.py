"""Whether a true mesh has the units and the frame of the cameras, so that figures against it mean something."""

import numpy as np

from datasets.scene import Scene
from utils.cameras import Camera
from utils.mesh import Mesh

_VIEWS, _POINTS = 30, 2000  # that are looked at, evenly spread
_IN_FRAME = 0.1  # share of the mesh in the image of a photograph: below it the mesh is elsewhere or much larger
_SMALLEST = 0.01  # diagonal of what an image shows of the mesh, as a share of the image's


def doubt_of_truth(scene: Scene, mesh: Mesh) -> str | None:
    """What is wrong about a true mesh, in world coordinates, that the median photograph of a scene hardly shows; None
    where nothing is."""
    corners = mesh.vertices[np.unique(mesh.faces)]
    corners = corners[:: len(corners) // _POINTS + 1]
    scene_from_world = np.linalg.inv(scene.world_from_scene)
    points = corners @ scene_from_world[:3, :3].T + scene_from_world[:3, 3]
    shares, sizes = [], []
    for view in sorted({round(i) for i in np.linspace(0, len(scene) - 1, min(len(scene), _VIEWS))}):
        size = tuple(int(side) for side in scene.sizes[view])
        camera = Camera(scene.c2w[view].astype(np.float64), scene.intrinsics[view].astype(np.float64), size)
        pixels = camera.project(points)
        inside = camera.in_frame(pixels)
        shares.append(inside.mean())
        sizes.append(np.linalg.norm(np.ptp(pixels[inside, :2], axis=0)) / np.hypot(*size) if inside.any() else 0.0)
    share, size = float(np.median(shares)), float(np.median(sizes))
    if share >= _IN_FRAME and size >= _SMALLEST:
        return None
    seen = f"{share:.1%} of it" if share < _IN_FRAME else f"it over {size:.2%} of their width"
    return (
        f"the photographs show {seen}, so its units or its frame are not those of the cameras, and figures against it "
        f"say nothing. Write it in the coordinates of the cameras, or leave it out with dataset.gt_mesh=null"
    )
