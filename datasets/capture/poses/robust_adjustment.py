"""Bundle adjustment of a whole model, in which observations far off weigh little."""

from dataclasses import dataclass

import numpy as np
import pycolmap

_ITERATIONS = 40
_SURE = 0.0025  # of an image's width, one deviation: hand-held photos gave 0.0001 to 0.0015, turntables 0.003 to 0.04
_MAX_OFFSET = 0.1  # of an image's width, that principal points are off the middle; phones have 0.01


@dataclass(frozen=True)
class PrincipalPoints:
    """Where the principal points of the cameras were found, and whether the photographs tell it."""

    offsets: np.ndarray  # (C, 2) pixels to the right of and below the middle
    deviations: np.ndarray  # (C, 2) pixels, one standard deviation; infinite where nothing tells
    found: bool


def adjust_robustly(model: pycolmap.Reconstruction, max_iterations: int, refine_focal: bool) -> None:
    """Moves all cameras and points of a model to least reprojection error, under a Cauchy loss; two cameras fix the
    frame.

    refine_focal: whether focal lengths move too; lens distortion does."""
    _adjuster(model, max_iterations, refine_focal, refine_centre=False).solve()


def find_principal_points(model: pycolmap.Reconstruction) -> PrincipalPoints:
    """Adjusts a model as `adjust_robustly` does, its principal points too, but only if the photographs determine them.

    A principal point that is held in the middle of the images, though the lens has it elsewhere, spoils the focal
    length and all poses. But where cameras go round level, at one height and with a narrow view, a shift of it looks
    like a turn of the cameras: the covariance of the adjustment tells (Triggs et al. 2000, Bundle adjustment, section
    9). Then the model stays as it is."""
    trial = pycolmap.Reconstruction(model)
    adjuster = _adjuster(trial, _ITERATIONS, refine_focal=True, refine_centre=True)
    adjuster.solve()
    options = pycolmap.BACovarianceOptions()
    options.params = pycolmap.BACovarianceOptionsParams.ALL
    covariance = pycolmap.estimate_ba_covariance(options, trial, adjuster)
    cameras = [camera for _, camera in sorted(trial.cameras.items())]
    offsets, deviations = np.zeros((len(cameras), 2)), np.full((len(cameras), 2), np.inf)
    for number, camera in enumerate(cameras):
        centre = list(camera.principal_point_idxs())
        offsets[number] = np.array(camera.params)[centre] - 0.5 * np.array([camera.width, camera.height])
        own = None if covariance is None else covariance.get_other_params_cov(camera.params)
        if own is not None and len(own) == len(camera.params):
            deviations[number] = np.sqrt(np.maximum(np.diag(own)[centre], 0.0))
    widths = np.array([[camera.width] for camera in cameras])
    found = bool((deviations <= _SURE * widths).all() and (np.abs(offsets) <= _MAX_OFFSET * widths).all())
    if found:
        _take_over(model, trial)
    return PrincipalPoints(offsets, deviations, found)


def _take_over(model: pycolmap.Reconstruction, adjusted: pycolmap.Reconstruction) -> None:
    """Gives a model the cameras, poses and points of an adjusted copy."""
    for camera_id, camera in adjusted.cameras.items():
        model.cameras[camera_id].params = camera.params
    for frame_id in adjusted.reg_frame_ids():
        model.frames[frame_id].rig_from_world = adjusted.frames[frame_id].rig_from_world
    for point_id, point in adjusted.points3D.items():
        model.points3D[point_id].xyz = point.xyz
    model.update_point_3d_errors()


def _adjuster(
    model: pycolmap.Reconstruction, max_iterations: int, refine_focal: bool, refine_centre: bool
) -> pycolmap.CeresBundleAdjuster:
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_focal_length, options.refine_principal_point = refine_focal, refine_centre
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.solver_options.max_num_iterations = max_iterations
    options.ceres.solver_options.function_tolerance = 1e-6
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in model.reg_image_ids():
        config.add_image(image_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    return pycolmap.create_default_ceres_bundle_adjuster(options, config, model)
