"""Stage `region`: where the object is, as files for the loader, and for a person to check and to correct."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets.capture.options import CaptureOptions
from datasets.capture.region.choose_region import INTEREST_FILE, POINTS_FILE, choose_region
from datasets.capture.region.picture import write_region_cloud, write_region_picture
from datasets.capture.setup.record import is_turntable
from datasets.capture.sparse_model import read_sparse_model
from datasets.capture.true_size import SCALE_FILE
from datasets.lighting import LIGHTING_FILE, Lighting, write_lightings
from datasets.region import REGION_FILE, write_region
from utils.mesh.ply import write_points


def locate_object(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Writes region.json, region.ply, region.png, sparse_points.ply and, of a turntable, lighting.json from sparse/0;
    returns the report."""
    model, turned = read_sparse_model(options.root / "sparse" / "0"), is_turntable(options.root)
    region = choose_region(model, options.roi, options.root / INTEREST_FILE, turned)
    is_metric = options.scale is not None or (options.root / SCALE_FILE).is_file()  # `undistort` has scaled
    region = replace(region, metres_per_unit=1.0 if is_metric else None)
    if turned:
        write_lightings([Lighting(tuple(model.names), region.up)], working / LIGHTING_FILE)
    write_region(region, working / REGION_FILE)
    write_region_cloud(region, model, working / "region.ply")
    write_region_picture(region, model, options.root / "images", working / "region.png")
    write_points(model.points, model.colors, working / POINTS_FILE)
    return {
        "method": region.method,
        "center": region.center.tolist(),
        "radius": region.radius,
        "points_inside": int(region.contains(model.points).sum()),
        "points": len(model.points),
    }
