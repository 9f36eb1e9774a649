"""Bundle adjustment of a whole model, in which observations far off weigh little."""

import pycolmap


def adjust_robustly(model: pycolmap.Reconstruction, max_iterations: int, refine_focal: bool) -> None:
    """Moves all cameras and points of a model to least reprojection error, under a Cauchy loss; two cameras fix the
    frame.

    refine_focal: whether focal lengths move too; lens distortion does."""
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_focal_length = refine_focal
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.solver_options.max_num_iterations = max_iterations
    options.ceres.solver_options.function_tolerance = 1e-6
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in model.reg_image_ids():
        config.add_image(image_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(options, config, model).solve()
