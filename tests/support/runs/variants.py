"""The variants of NeuS as overrides, with steps so few that a test of seconds sees them change; a small model."""

SMALL = [
    "trainer.enable_progress_bar=false",
    "trainer.log_every_n_steps=5",
    "dataset.n_test_traj_steps=2",
    "model.num_samples_per_ray=64",
    "model.train_num_rays=64",
    "model.max_train_num_rays=256",
    "model.grid_resolution=32",
    "model.geometry.xyz_encoding_config.n_levels=6",
    "model.geometry.xyz_encoding_config.log2_hashmap_size=12",
    "model.geometry.isosurface.resolution=64",
]
QUICK = [  # behind SMALL, for runs of which no quality is asked
    "model.max_train_num_rays=128",
    "model.geometry.isosurface.resolution=32",
    "dataset.img_wh=[24,24]",
    "export.report=false",
]
GRID = "model.geometry.xyz_encoding_config"
DIFFERENCES = ["model.geometry.grad_type=finite_difference", "model.geometry.finite_difference_eps=0.01"]
PROGRESSIVE = [
    "model.geometry.grad_type=finite_difference",
    "model.geometry.finite_difference_eps=progressive",
    f"{GRID}.otype=ProgressiveBandHashGrid",
    f"{GRID}.start_level=2",
    f"{GRID}.update_steps=4",
    "system.loss.lambda_curvature=[[0,0],[5,5e-4],[15,1e-4]]",
]
LEVERS = [
    *DIFFERENCES,
    "model.geometry.finite_difference_jitter=0.5",
    "model.texture.name=volume-reflected-radiance",
    "dataset.mask_band=2",
]
LATE_LEVERS = [  # for surfaces, from the middle of a short run on
    "system.loss.lambda_ncc=[[9,0],[10,0.1]]",
    "system.loss.ncc_rays=64",
    "system.loss.ncc_patch=5",
    "system.error_guided=0.5",
    "model.grid_min_views=2",
]
LIGHT = [  # all that is learned of cameras, and the losses that bear with what they cannot show
    "system.exposure=true",
    "system.vignette=true",
    "system.response=true",
    "system.optimizer.params.optics.lr=0.02",
    "system.loss.saturated_level=0.9",
    "system.loss.lambda_rgb_robust=1",
    "system.error_guided=0.5",
]
# cameras that move from some step on, and stay from another, while patches are compared and points may mirror
POSES = [
    "system.refine_poses=[[6,0.],[6,1.e-4],[16,1.e-5],[16,0.]]",
    "system.loss.lambda_ncc=0.1",
    "model.texture.name=volume-gated-radiance",
]
