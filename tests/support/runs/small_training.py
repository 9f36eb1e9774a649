"""Overrides that make a shipped config small enough to be trained in seconds on a CPU."""

GRID = "model.geometry.xyz_encoding_config"
SMALL = (
    "trainer.precision=32",
    "trainer.enable_progress_bar=false",
    "model.num_samples_per_ray=48",
    "model.train_num_rays=64",
    "model.max_train_num_rays=256",
    "model.grid_resolution=32",
    f"{GRID}.n_levels=6",
    f"{GRID}.log2_hashmap_size=12",
    f"{GRID}.base_resolution=16",
    "model.geometry.isosurface.resolution=48",
    "dataset.n_test_traj_steps=1",
    "export.formats=[ply]",
    "export.report=false",
)
