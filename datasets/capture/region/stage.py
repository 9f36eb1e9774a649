"""Stage `region`: where the object is, as files for the loader and for a person to check and to correct."""

from pathlib import Path
from typing import Any

import pycolmap

from datasets.capture.cloud import cloud_of
from datasets.capture.options import CaptureOptions
from datasets.capture.region.choose import INTEREST_FILE, POINTS_FILE, choose_region
from datasets.capture.region.picture import write_region_cloud, write_region_picture
from datasets.region import FILE, write_region
from utils.mesh.ply import write_points


def run(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Writes region.json, region.ply, region.png and sparse_points.ply from sparse/0; returns the report."""
    cloud = cloud_of(pycolmap.Reconstruction(options.root / "sparse" / "0"))
    region = choose_region(cloud, options.roi, options.root / INTEREST_FILE)
    write_region(region, working / FILE)
    write_region_cloud(region, cloud, working / "region.ply")
    write_region_picture(region, cloud, options.root / "images", working / "region.png")
    write_points(cloud.points, cloud.colors, working / POINTS_FILE)
    return {
        "method": region.method,
        "center": region.center.tolist(),
        "radius": region.radius,
        "points_inside": int(region.holds(cloud.points).sum()),
        "points": len(cloud.points),
    }
