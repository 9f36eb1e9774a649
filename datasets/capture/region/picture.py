"""Draws a region of interest: a picture that shows at a glance whether it is right, and a point cloud for MeshLab."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from datasets.capture.drawing import draw_dots, draw_line, fill_polygon
from datasets.capture.region.shapes import (
    PYRAMID_EDGES,
    camera_corners,
    camera_lines,
    circle,
    ground_cut,
    sphere_lines,
    sphere_outline,
)
from datasets.capture.sparse_model import SparseModel
from datasets.geometry.normalise import rotation_to_z
from datasets.region import Region
from utils.files import replacing
from utils.images import read_image, resize_area, write_png
from utils.mesh.ply import write_points
from utils.visualise import side_by_side

INSIDE, OUTSIDE = (232, 98, 0), (164, 172, 184)  # points
SPHERE, GROUND, CAMERA, INK = (24, 92, 214), (0, 158, 115), (96, 100, 112), (36, 40, 48)
_PANEL, _GAP, _CAPTION = 540, 12, 30  # pixels
_SUPERSAMPLING = 2  # pictures are drawn this many times as large
_NUM_PHOTOS = 4


def write_region_picture(region: Region, model: SparseModel, images: Path, path: Path) -> None:
    """Writes a PNG: the scene from above and from the side, and photographs in which all but the sphere is dark.

    images: the folder of the photographs that the model names. Raises DataError where one cannot be read."""
    chosen = spread_views(region, model, _NUM_PHOTOS)
    photos = [_with_caption(draw_photo(region, model, view, images), model.names[view]) for view in chosen]
    panels = [_with_caption(draw_panel(region, model, side), f"from {side}") for side in ("above", "the side")]
    rows = [side_by_side([*panels, _legend(region, model)], _GAP), side_by_side(photos, _GAP)]
    width = max(row.shape[1] for row in rows) + 2 * _GAP
    picture = np.full((sum(row.shape[0] for row in rows) + _GAP * 3, width, 3), 255, np.uint8)
    top = _GAP
    for row in rows:
        picture[top : top + row.shape[0], _GAP : _GAP + row.shape[1]] = row
        top += row.shape[0] + _GAP
    with replacing(path) as temporary:
        write_png(temporary, picture)


def write_region_cloud(region: Region, model: SparseModel, path: Path) -> None:
    """Writes a PLY of points in the coordinates of the model: those inside and outside, the sphere and the cameras."""
    size = 0.12 * region.radius
    parts = [
        (model.points, np.where(region.contains(model.points)[:, None], INSIDE, OUTSIDE)),
        (sphere_lines(region), np.array(SPHERE)),
        *[(camera_lines(model, view, size), np.array(CAMERA)) for view in range(len(model.names))],
    ]
    colors = np.concatenate([np.broadcast_to(color, points.shape) for points, color in parts])
    write_points(np.concatenate([points for points, _ in parts]), colors.astype(np.uint8), path)


def spread_views(region: Region, model: SparseModel, num: int) -> list[int]:
    """At most `num` views from directions as different as possible: the first, and each next one the farthest from
    those before."""
    directions = model.c2w[:, :, 3] - region.center
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    chosen = [0]
    while len(chosen) < min(num, len(directions)):
        chosen.append(int((directions @ directions[chosen].T).max(axis=1).argmin()))
    return sorted(chosen)


def draw_panel(region: Region, model: SparseModel, side: str) -> np.ndarray:
    """(540, 540, 3) uint8: points, cameras, sphere and ground in parallel projection from "above" or "the side".

    Turned so that most cameras are at the lower edge, or in front."""
    x, y, up = rotation_to_z(region.up)
    positions = model.c2w[:, :, 3] - region.center
    angle = np.arctan2(positions.mean(axis=0) @ y, positions.mean(axis=0) @ x)
    toward = np.cos(angle) * x + np.sin(angle) * y
    axes = np.stack([np.cross(up, toward), toward if side == "above" else -up])  # to the right, and down
    distance = np.linalg.norm(positions, axis=1)
    reach = max(1.12 * float(np.quantile(distance, 0.95)), 1.5 * region.radius)
    size = _PANEL * _SUPERSAMPLING
    canvas = np.full((size, size, 3), 248, np.uint8)

    def to_pixels(points: np.ndarray) -> np.ndarray:
        return ((points - region.center) @ axes.T / reach + 1.0) * (0.5 * size)

    inside = region.contains(model.points)
    draw_dots(canvas, to_pixels(model.points[~inside]), OUTSIDE, 2.5)
    draw_dots(canvas, to_pixels(model.points[inside]), INSIDE, 2.5)
    for view in range(len(model.names)):
        corners = to_pixels(camera_corners(model, view, 0.07 * reach))
        for edge in PYRAMID_EDGES:
            draw_line(canvas, corners[list(edge)], CAMERA, 2)
    cut = ground_cut(region)
    if cut is not None:
        draw_line(canvas, to_pixels(cut), GROUND, 5, closed=True)
    rim = circle(region.center, np.cross(*axes), region.radius)
    draw_line(canvas, to_pixels(rim), SPHERE, 6, closed=True)
    return resize_area(canvas, (_PANEL, _PANEL))


def draw_photo(region: Region, model: SparseModel, view: int, images: Path) -> np.ndarray:
    """(h, w, 3) uint8 a photograph, dark outside the sphere, with the points inside, the sphere and the ground."""
    image = read_image(images / model.names[view])[..., :3]
    scale = min(_PANEL / image.shape[1], _PANEL / image.shape[0])
    pixel_scale = _SUPERSAMPLING * scale
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    canvas = np.ascontiguousarray(resize_area(image, (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING)))
    polygon = sphere_outline(region, model, view)
    lit = np.zeros(canvas.shape[:2]) if polygon is None else fill_polygon(polygon * pixel_scale, canvas.shape[1::-1])
    canvas = (canvas * (0.35 + 0.65 * (lit / 255.0))[..., None]).astype(np.uint8)
    pixels, depth = model.project(view, model.points[region.contains(model.points)])
    draw_dots(canvas, pixels[depth > 0.0] * pixel_scale, INSIDE, 2.0)
    cut = ground_cut(region)
    if cut is not None:
        pixels, depth = model.project(view, cut)
        if (depth > 0.0).all():
            draw_line(canvas, pixels * pixel_scale, GROUND, 4, closed=True)
    if polygon is not None:
        draw_line(canvas, polygon * pixel_scale, SPHERE, 6, closed=True)
    return resize_area(canvas, size)


def _legend(region: Region, model: SparseModel) -> np.ndarray:
    """(h, w, 3) uint8: the meaning of the colours, and the numbers of the region."""
    inside = int(region.contains(model.points).sum())
    x, y, z = region.center
    ground = "none" if region.ground is None else f"{region.ground.height(region.center):.4g} below the centre"
    lines = [
        (f"inside: {inside} points", INSIDE),
        (f"outside: {len(model.points) - inside} points", OUTSIDE),
        (f"sphere: radius {region.radius:.4g}", SPHERE),
        (f"ground: {ground}", GROUND),
        (f"cameras: {len(model.names)}", CAMERA),
        ("", None),
        (f"centre {x:.4g}, {y:.4g}, {z:.4g}", None),
        *[(line, None) for line in _wrap(region.method, 40)],
    ]
    canvas = Image.new("RGB", (_PANEL, _PANEL + _CAPTION), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(20)
    for row, (text, color) in enumerate(lines):
        top = _CAPTION + 36 * row
        if color is not None:
            draw.ellipse((8, top + 5, 24, top + 21), fill=color)
        draw.text((8 if color is None else 36, top), text, fill=INK, font=font)
    return np.asarray(canvas)


def _wrap(text: str, width: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= width:
            yield line
            line = ""
        line = f"{line} {word}".strip()
    yield line


def _with_caption(picture: np.ndarray, text: str) -> np.ndarray:
    """The picture (h, w, 3) uint8 with a line of text above."""
    canvas = Image.new("RGB", (picture.shape[1], picture.shape[0] + _CAPTION), "white")
    ImageDraw.Draw(canvas).text((2, 2), text, fill=INK, font=ImageFont.load_default(18))
    canvas.paste(Image.fromarray(picture), (0, _CAPTION))
    return np.asarray(canvas)
