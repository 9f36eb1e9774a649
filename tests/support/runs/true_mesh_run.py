"""The folder of a run on the bundled scene whose mesh is the true one."""

import shutil
from pathlib import Path

from omegaconf import OmegaConf

from systems.configs import read_experiment
from utils.config import schema
from utils.registry import ROOT


def true_mesh_run(out: Path) -> Path:
    """Writes its config and mesh below `out`; returns its folder."""
    folder, scene = out / "exp" / "spot" / "trial", ROOT / "load" / "spot"
    (folder / "config").mkdir(parents=True)
    (folder / "save").mkdir()
    experiment = read_experiment([str(ROOT / "configs" / "neus-demo.yaml")], [f"dataset.root_dir={scene}"])
    (folder / "config" / "parsed.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(schema.to_dict(experiment))))
    shutil.copy(scene / "gt_mesh.ply", folder / "save" / "it1-mc8.ply")
    return folder
