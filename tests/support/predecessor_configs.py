"""Experiments as full-length YAML in the keys and the structure of instant-nsr-pl, composed from blocks of our own."""

from copy import deepcopy
from typing import Any

import yaml

Block = dict[str, Any]


def grid(otype: str = "HashGrid", base: int = 16, scale: float = 1.447269237440378, **more: Any) -> Block:
    levels = {"n_levels": 16, "n_features_per_level": 2, "log2_hashmap_size": 19}
    return {"otype": otype, **levels, "base_resolution": base, "per_level_scale": scale, **more}


def network(otype: str, layers: int, output: str = "none", **more: Any) -> Block:
    return {
        "otype": otype,
        "activation": "ReLU",
        "output_activation": output,
        "n_neurons": 64,
        "n_hidden_layers": layers,
        **more,
    }


def isosurface(resolution: int, threshold: float) -> Block:
    return {"method": "mc", "resolution": resolution, "chunk": 2097152, "threshold": threshold}


def density(feature_dim: int, surface: Block | None, encoding: Block, layers: Block) -> Block:
    return {
        "name": "volume-density",
        "radius": "${model.radius}",
        "feature_dim": feature_dim,
        "density_activation": "trunc_exp",
        "density_bias": -1,
        "isosurface": surface,
        "xyz_encoding_config": encoding,
        "mlp_network_config": layers,
    }


def radiance(inputs: str, layers: Block, **more: Any) -> Block:
    return {
        "name": "volume-radiance",
        "input_feature_dim": inputs,
        "dir_encoding_config": {"otype": "SphericalHarmonics", "degree": 4},
        "mlp_network_config": layers,
        **more,
    }


def shared_model(kind: str, radius: float, background: str, threshold: float) -> Block:
    return {
        "name": kind,
        "radius": radius,
        "num_samples_per_ray": 1024,
        "train_num_rays": 256,
        "max_train_num_rays": 8192,
        "grid_prune": True,
        "grid_prune_occ_thre": threshold,
        "dynamic_ray_sampling": True,
        "batch_image_sampling": True,
        "randomized": True,
        "ray_chunk": 2048,
        "learned_background": False,
        "background_color": background,
    }


def nerf_model(radius: float, learned: bool = False) -> Block:
    model = shared_model("nerf", radius, "random", 0.01)
    model["geometry"] = density(16, isosurface(256, 5.0), grid(), network("FullyFusedMLP", 1))
    model["texture"] = radiance("${model.geometry.feature_dim}", network("FullyFusedMLP", 2, "Sigmoid"))
    return model | ({"learned_background": True} if learned else {})


def neus_model(radius: float, background: str, learned: bool = False) -> Block:
    model = shared_model("neus", radius, background, 0.001)
    sphere = {"sphere_init": True, "sphere_init_radius": 0.5, "weight_norm": True}
    model |= {"cos_anneal_end": 20000, "variance": {"init_val": 0.3, "modulate": False}}
    model["geometry"] = {
        "name": "volume-sdf",
        "radius": "${model.radius}",
        "feature_dim": 13,
        "grad_type": "analytic",
        "isosurface": isosurface(512, 0.0),
        "xyz_encoding_config": grid(base=32, scale=1.3195079107728942, include_xyz=True),
        "mlp_network_config": network("VanillaMLP", 1, **sphere),
    }
    model["texture"] = radiance(
        "${add:${model.geometry.feature_dim},3}", network("VanillaMLP", 2), color_activation="sigmoid"
    )
    if learned:
        encoding = grid(base=32, scale=1.3195079107728942)
        model |= {
            "learned_background": True,
            "num_samples_per_ray_bg": 64,
            "geometry_bg": density(8, None, encoding, network("VanillaMLP", 1)),
            "texture_bg": radiance(
                "${model.geometry_bg.feature_dim}", network("VanillaMLP", 2), color_activation="sigmoid"
            ),
        }
    return model


def optimizer(**rates: float) -> Block:
    args = {"lr": 0.01, "betas": [0.9, 0.99], "eps": 1.0e-15}
    params = {"params": {name: {"lr": rate} for name, rate in rates.items()}} if rates else {}
    return {"name": "AdamW", "args": args, **params}


def nerf_system() -> Block:
    steps = [0.5, 0.75, 0.9]
    return {
        "name": "nerf-system",
        "loss": {"lambda_rgb": 1.0, "lambda_distortion": 0.0},
        "optimizer": optimizer(),
        "scheduler": {
            "name": "MultiStepLR",
            "interval": "step",
            "args": {"milestones": [round(20000 * share) for share in steps], "gamma": 0.33},
        },
    }


def neus_system(first: str, kind: str, factor: Block, mask: float, background: bool = False) -> Block:
    """first: warmup_steps or constant_steps, the length of the first of two schedulers, of the kind `kind`."""
    rest = f"${{sub:${{trainer.max_steps}},${{system.{first}}}}}"
    rates = {"geometry": 0.01, "texture": 0.01, "variance": 0.001}
    rates |= {"geometry_bg": 0.01, "texture_bg": 0.01} if background else {}
    return {
        "name": "neus-system",
        "loss": {
            "lambda_rgb_mse": 10.0,
            "lambda_rgb_l1": 0.0,
            "lambda_mask": mask,
            "lambda_eikonal": 0.1,
            "lambda_curvature": 0.0,
            "lambda_sparsity": 0.0,
            "lambda_distortion": 0.0,
            "lambda_distortion_bg": 0.0,
            "lambda_opaque": 0.0,
            "sparsity_scale": 1.0,
        },
        "optimizer": optimizer(**rates),
        first: 500,
        "scheduler": {
            "name": "SequentialLR",
            "interval": "step",
            "milestones": [f"${{system.{first}}}"],
            "schedulers": [
                {"name": kind, "args": {**factor, "total_iters": f"${{system.{first}}}"}},
                {"name": "ExponentialLR", "args": {"gamma": f"${{calc_exp_lr_decay_rate:0.1,{rest}}}"}},
            ],
        },
    }


def experiment(name: str, dataset: Block, model: Block, system: Block) -> Block:
    return {
        "name": name,
        "tag": "",
        "seed": 42,
        "dataset": dataset,
        "model": model,
        "system": system,
        "checkpoint": {"save_top_k": -1, "every_n_train_steps": "${trainer.max_steps}"},
        "export": {"chunk_size": 2097152, "export_vertex_color": True},
        "trainer": {
            "max_steps": 20000,
            "log_every_n_steps": 100,
            "num_sanity_val_steps": 0,
            "val_check_interval": 5000,
            "limit_train_batches": 1.0,
            "limit_val_batches": 2,
            "enable_progress_bar": True,
            "precision": 16,
        },
    }


def _blender() -> Block:
    return {
        "name": "blender",
        "scene": "???",
        "root_dir": "./load/nerf_synthetic/${dataset.scene}",
        "img_wh": [800, 800],
        "near_plane": 2.0,
        "far_plane": 6.0,
        "train_split": "train",
        "val_split": "val",
        "test_split": "test",
    }


def _colmap(up: str, centre: str) -> Block:
    return {
        "name": "colmap",
        "root_dir": "???",
        "img_downscale": 4,
        "up_est_method": up,
        "center_est_method": centre,
        "n_test_traj_steps": 30,
        "apply_mask": True,
        "load_data_on_gpu": False,
    }


def _dtu(mask: bool) -> Block:
    return {
        "name": "dtu",
        "root_dir": "./load/DTU-neus/dtu_scan63",
        "cameras_file": "cameras_sphere.npz",
        "img_downscale": 2,
        "n_test_traj_steps": 60,
        "apply_mask": mask,
    }


def configs() -> dict[str, Block]:
    """The experiments by the names of their files."""
    warm = ("warmup_steps", "LinearLR", {"start_factor": 0.01, "end_factor": 1.0})
    constant = ("constant_steps", "ConstantLR", {"factor": 1.0})
    base, scene = "${basename:${dataset.root_dir}}", "${dataset.scene}"
    unbounded = nerf_model(1.0, learned=True)
    found = {
        "nerf-blender": experiment(f"nerf-blender-{scene}", _blender(), nerf_model(1.5), nerf_system()),
        "nerf-colmap": experiment(f"nerf-colmap-{base}", _colmap("camera", "lookat"), unbounded, nerf_system()),
        "neus-blender": experiment(
            f"neus-blender-{scene}", _blender(), neus_model(1.5, "white"), neus_system(*warm, mask=0.1)
        ),
        "neus-colmap": experiment(
            f"neus-colmap-{base}",
            _colmap("ground", "point"),
            neus_model(1.0, "random", True),
            neus_system(*warm, mask=0.0, background=True),
        ),
        "neus-dtu": experiment(
            f"neus-dtu-{base}",
            _dtu(False),
            neus_model(1.0, "white", True),
            neus_system(*constant, mask=0.0, background=True),
        ),
        "neus-dtu-wmask": experiment(
            f"neus-dtu-wmask-{base}", _dtu(True), neus_model(1.0, "white"), neus_system(*constant, mask=0.1)
        ),
    }
    fine = deepcopy(found["neus-dtu-wmask"]) | {"name": f"neuralangelo-dtu-wmask-{base}"}
    geometry = fine["model"]["geometry"]
    geometry |= {"grad_type": "finite_difference", "finite_difference_eps": "progressive"}
    geometry["xyz_encoding_config"] |= {
        "otype": "ProgressiveBandHashGrid",
        "start_level": 4,
        "start_step": 0,
        "update_steps": 1000,
    }
    return found | {"neuralangelo-dtu-wmask": fine}


def text(name: str) -> str:
    """The YAML file of one of them."""
    return yaml.safe_dump(configs()[name], sort_keys=False)
