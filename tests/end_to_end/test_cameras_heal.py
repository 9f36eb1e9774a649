"""Cameras that are disturbed find back while the scene is learned."""

import json
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from sphere_scene import write_sphere_scene
from variants import SMALL

import launch
from datasets.geometry.agreement import fit_similarity
from models.photographs.poses import CameraCorrections
from utils.rays import Photographs

STEPS = 200


def disturbed(path: Path, degrees: float, share: float) -> np.ndarray:
    """Turns and shifts the cameras of a transforms.json by random angles and shares of their distance; returns what
    they were, (N, 4, 4), OpenGL."""
    content = json.loads(path.read_text(encoding="utf-8"))
    true = np.array([frame["transform_matrix"] for frame in content["frames"]])
    rng = np.random.default_rng(0)
    for frame, matrix in zip(content["frames"], true, strict=True):
        turn = Rotation.from_rotvec(np.radians(degrees) * rng.normal(size=3) / 3**0.5).as_matrix()
        moved = matrix.copy()
        moved[:3, :3] = turn @ matrix[:3, :3]
        moved[:3, 3] += share * np.linalg.norm(matrix[:3, 3]) * rng.normal(size=3) / 3**0.5
        frame["transform_matrix"] = moved.tolist()
    path.write_text(json.dumps(content), encoding="utf-8")
    return true


def sight_error(c2w: np.ndarray, true: np.ndarray) -> float:
    """Degrees, the median angle between where cameras (N, 3, 4) see a ball's middle and where true ones do: what turns
    and shifts of a camera do to its photograph together."""
    similarity = fit_similarity(c2w[:, :, 3], true[:, :3, 3])
    centres = c2w[:, :, 3] @ similarity[:3, :3].T + similarity[:3, 3]
    turn = similarity[:3, :3] / np.cbrt(np.linalg.det(similarity[:3, :3]))
    seen = np.einsum("nji,nj->ni", turn @ c2w[:, :, :3], -centres)
    expected = np.einsum("nji,nj->ni", true[:, :3, :3] @ np.diag([1.0, -1.0, -1.0]), -true[:, :3, 3])
    cosine = (seen * expected).sum(1) / np.linalg.norm(seen, axis=1) / np.linalg.norm(expected, axis=1)
    return float(np.degrees(np.median(np.arccos(np.clip(cosine, -1.0, 1.0)))))


def test_disturbed_cameras_find_back(tmp_path: Path) -> None:
    scene = write_sphere_scene(tmp_path / "scene")
    true = disturbed(scene / "transforms_train.json", degrees=1.0, share=0.01)
    folders = ["--exp_dir", str(tmp_path / "exp"), "--runs_dir", str(tmp_path / "runs"), "--gpu", "cpu"]
    schedule = f"system.refine_poses=[[50,0.],[50,1.e-3],[{STEPS},1.e-5]]"
    steps = [f"trainer.max_steps={STEPS}", "system.warmup_steps=20", schedule, "export.report=false"]
    command = ["--config", "configs/neus-demo.yaml", *folders, f"dataset.root_dir={scene}", *SMALL, "--train", *steps]
    assert launch.main(command) == 0
    (checkpoint,) = tmp_path.glob(f"exp/*/@*/ckpt/*step={STEPS}.ckpt")
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    corrections = CameraCorrections.like(state)
    own = {name.removeprefix("poses."): value for name, value in state.items() if name.startswith("poses.")}
    corrections.load_state_dict(own)
    given = Photographs(
        torch.zeros(1, 3, dtype=torch.uint8),
        torch.zeros(len(true), dtype=torch.int64),
        torch.ones(len(true), dtype=torch.int64),
        corrections.given,
        torch.ones(len(true), 4),
        0.0,
        1.0,
    )
    with torch.no_grad():
        healed = corrections.corrected(given).c2w.double().numpy()
    before, after = (sight_error(c2w, true) for c2w in (corrections.given.double().numpy(), healed))
    assert before > 0.5
    assert after < 0.5 * before
