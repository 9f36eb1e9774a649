"""Stage `join`: one dataset from several prepared series, in the object's frame, without what it stood on."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from datasets.capture.masks.contact_sheet import write_contact_sheet
from datasets.capture.masks.mask_files import CONTACT_SHEET, MASK_FOLDER, mask_name, masks_in, write_mask
from datasets.capture.masks.object_masks import MIN_AGREEMENT, object_region
from datasets.capture.region.choose_region import POINTS_FILE
from datasets.capture.region.picture import write_region_cloud, write_region_picture
from datasets.capture.series.finer_features import find_finer_features
from datasets.capture.series.joined_names import joined_names
from datasets.capture.series.joint_masks import JointHull, JointMasks
from datasets.capture.series.joint_model import adjust, as_joined, put_together
from datasets.capture.series.movement import differ
from datasets.capture.series.object_features import ObjectFeatures, read_features
from datasets.capture.series.placement import UnplacedError, place_series
from datasets.capture.series.prepared import PreparedSeries, has_doubtful_masks, mask_report, require_masks
from datasets.capture.series.shared_points import share_points, shared_places
from datasets.capture.series.similarity import TOLERANCE
from datasets.capture.sparse_model import SparseModel, to_sparse_model
from datasets.files.quiet_colmap import quiet
from datasets.geometry.normalise import move_direction
from datasets.lighting import LIGHTING_FILE, Lighting, read_lightings, write_lightings
from datasets.points.sift import MIN_MATCHES
from datasets.region import OBJECT_FILE, REGION_FILE, Region, read_region, write_region
from utils.errors import CaptureError
from utils.images import read_image
from utils.mesh.ply import write_points

log = logging.getLogger(__name__)
OUTPUTS = (
    *("images", "sparse", MASK_FOLDER, CONTACT_SHEET, OBJECT_FILE),
    *(REGION_FILE, "region.ply", "region.png", POINTS_FILE, LIGHTING_FILE),
)
_FEW_SHARED = 3 * MIN_MATCHES  # points of the object: fewer fix the motion, but none of them confirms it
_MIN_SPREAD = 0.15  # of the object's radius, of the shared points across the line along which they lie: errors of the
# motion grow with the distance from them
_GOOD_AGREEMENT = 0.9  # of all masks with what they leave; good series had 0.95
_REACHES = (TOLERANCE, 0.004, 0.004)  # of the longer side: shared points are looked for there before each adjustment


def join_series(series: Sequence[PreparedSeries], working: Path) -> dict[str, Any]:
    """Fills images/, sparse/0, masks/, the region and the sphere of the object; returns the report.

    Raises CaptureError where a series has no masks, or where the series do not match."""
    for one in series:
        require_masks(one)
    with quiet():
        models = [pycolmap.Reconstruction(one.root / "sparse" / "0") for one in series]
        features = [read_features(one.root, model, one.label) for one, model in zip(series, models, strict=True)]
        try:
            placed, report = place_series(features, str(working.parents[1]))
        except UnplacedError:
            log.info("  too few points of the object match; looking for finer features on it")
            finer = [find_finer_features(one.root, model, one.label) for one, model in zip(series, models, strict=True)]
            models, features = [one.model for one in finer], [one.features for one in finer]
            placed, report = place_series(features, str(working.parents[1]))
        names = joined_names({one.label: _names(*pair) for one, *pair in zip(series, models, features, strict=True)})
        joint, features = put_together(models, features, placed, [names[one.label] for one in series])
        _adjust(joint, features)
        _keep_object(joint, features)
        shared = shared_places(joint, features)
    model = to_sparse_model(joint)
    (sparse := working / "sparse" / "0").mkdir(parents=True)
    joint.write(sparse)
    masks = _copy_images(series, names, working)
    region = _region(series, placed, model)
    together = JointMasks(model, masks, region.center, region.radius)
    hull = _require_agreement(together, series[0].root.parent)
    if all(mask_report(one).get("kind") == "carved" for one in series):
        doubtful = [one for one in series if has_doubtful_masks(one)]
        if len(doubtful) == len(series):
            doubtful = []  # none is better than the others
        unsure = {name for one in doubtful for name in names[one.label].values()}
        masks = together.refine(lambda name: read_image(working / "images" / name)[..., :3], unsure)
        for name, mask in masks.items():
            write_mask(working / MASK_FOLDER, name, mask)
        hull = together.hull()
    region = object_region(hull.hull, region)
    _write_region(region, model, masks, working)
    write_lightings(_lightings(series, placed, names), working / LIGHTING_FILE)
    error = joint.compute_mean_reprojection_error()
    log.info(
        "  %d images of %d series; %d points of the object, %d of them seen in several series; reprojection error "
        "%.2f pixels; the masks agree with each other by %.1f %%",
        *(len(model.names), len(series), len(model.points), len(shared), error, 100.0 * hull.mean_agreement),
    )
    doubts = _doubts(shared, features[0].radius(), hull.mean_agreement)
    for doubt in doubts:
        log.warning("the series may be joined wrongly: %s. Look at masks.png, and at region.ply from all sides", doubt)
    return {
        "series": {one.label: {"source": str(one.source), "images": len(names[one.label])} for one in series},
        "matches": report,
        "images": len(model.names),
        "points": len(model.points),
        "shared_points": len(shared),
        "reprojection_error": error,
        "agreement": hull.mean_agreement,
        "doubts": doubts,
        "underside_seen": region.ground is None,
        "radius": region.radius,
    }


def _names(model: pycolmap.Reconstruction, features: ObjectFeatures) -> list[str]:
    """The names of the images of a series that have a mask."""
    return [model.images[i].name for i in features.image_ids.tolist()]


def _adjust(joint: pycolmap.Reconstruction, features: list[ObjectFeatures]) -> None:
    """Lets the series share points and adjusts all cameras, in rounds. Updates `features` in place."""
    for number, reach in enumerate(_REACHES):
        share_points(joint, features, reach)
        adjust(joint, features[0], refine_focal=number == len(_REACHES) - 1)
        features[:] = [as_joined(series, joint) for series in features]


def _doubts(shared: np.ndarray, radius: float, agreement: float) -> list[str]:
    """What speaks against the join: (S, 3) the points that series share, the radius of the object, and how well the
    masks agree."""
    spread = float(np.sqrt(np.linalg.eigvalsh(np.cov(shared.T))[1])) / radius if len(shared) > 3 else 0.0
    doubts = []
    if len(shared) < _FEW_SHARED:
        doubts.append(f"they share only {len(shared)} points of the object")
    elif spread < _MIN_SPREAD:
        doubts.append(f"the points that they share lie on a small part of the object, {spread:.0%} of its size")
    if agreement < _GOOD_AGREEMENT:
        doubts.append(f"their masks agree by only {agreement:.0%}")
    return doubts


def _keep_object(joint: pycolmap.Reconstruction, features: Sequence[ObjectFeatures]) -> None:
    """Drops the points that are not on the object."""
    kept = {point_id for series in features for point_id in series.point_ids.tolist()}
    for point_id in [point_id for point_id in joint.points3D if point_id not in kept]:
        joint.delete_point3D(point_id)


def _copy_images(
    series: Sequence[PreparedSeries], names: Mapping[str, Mapping[str, str]], working: Path
) -> dict[str, np.ndarray]:
    """Copies images and masks under their new names; returns the masks (H, W) uint8 by these names."""
    copied = {}
    for folder in ("images", MASK_FOLDER):
        (working / folder).mkdir()
    for one in series:
        sources = masks_in(one.root / MASK_FOLDER, names[one.label])
        for name, new in names[one.label].items():
            shutil.copyfile(one.root / "images" / name, working / "images" / new)
            shutil.copyfile(sources[name], target := working / MASK_FOLDER / mask_name(new))
            copied[new] = read_image(target)[..., 0]
    return copied


def _region(series: Sequence[PreparedSeries], placed: Sequence[np.ndarray], model: SparseModel) -> Region:
    """A sphere that the object is within, in the frame of the first series; without a ground where a series shows the
    underside."""
    first = read_region(series[0].root / REGION_FILE)
    ups = [
        similarity[:3, :3] @ read_region(one.root / REGION_FILE).up
        for similarity, one in zip(placed, series, strict=True)
    ]
    ground = None if differ(ups) else first.ground
    reach = float(np.linalg.norm(model.points - first.center, axis=1).max())
    return Region(first.center, max(first.radius, reach), first.up, ground, "", first.metres_per_unit)


def _require_agreement(masks: JointMasks, folder: Path) -> JointHull:
    """What all masks leave of the object. Raises CaptureError where they contradict each other."""
    found = masks.hull()
    if found.mean_agreement < MIN_AGREEMENT:
        worst = ", ".join(sorted(found.agreement, key=found.agreement.__getitem__)[:3])
        raise CaptureError(
            f"{folder}: the masks of the joined series contradict each other: they agree by "
            f"{found.mean_agreement:.0%} only, least in {worst}. Either the object looks alike from several sides and "
            f"was joined wrongly, or masks are wrong: look at masks.png of each series, and correct masks/ there."
        )
    return found


def _lightings(
    series: Sequence[PreparedSeries], placed: Sequence[np.ndarray], names: Mapping[str, Mapping[str, str]]
) -> list[Lighting]:
    """One lighting for each series, since the object lay otherwise to the lamps; as its own file says, if it turned."""
    lightings = []
    for one, similarity in zip(series, placed, strict=True):
        axis = None
        if (path := one.root / LIGHTING_FILE).is_file() and (own := read_lightings(path)[0].axis) is not None:
            axis = move_direction(own, similarity)
        lightings.append(Lighting(tuple(names[one.label].values()), axis))
    return lightings


def _write_region(region: Region, model: SparseModel, masks: Mapping[str, np.ndarray], working: Path) -> None:
    for name in (REGION_FILE, OBJECT_FILE):
        write_region(region, working / name)
    write_region_cloud(region, model, working / "region.ply")
    write_region_picture(region, model, working / "images", working / "region.png")
    write_points(model.points, model.colors, working / POINTS_FILE)
    write_contact_sheet(
        model.names, masks, lambda name: read_image(working / "images" / name)[..., :3], working / CONTACT_SHEET
    )
    log.info("  %s: look at it; correct a mask in %s/ with any painting program", CONTACT_SHEET, MASK_FOLDER)
