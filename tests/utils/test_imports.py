"""What a start of the program imports, seen from a process of its own."""

import subprocess
import sys
from pathlib import Path

STARTING = """
import sys
import launch
from utils.imports import import_lightning
import_lightning()
import torch
import datasets.datamodule, models.neus, systems.training.attempts, systems.training.banner
from systems.configs import LossConfig, SystemConfig
from systems.steps.optim import build_optimizer
weight = torch.nn.Parameter(torch.ones(1))
optimizer = build_optimizer(SystemConfig(LossConfig({})), {"geometry": [weight]})
weight.sum().backward()
optimizer.step()
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
print(weight.item() < 1.0, *(name for name in sys.argv[1:] if name in sys.modules))
import torch._dynamo
print(torch._dynamo.is_compiling())
"""
NOT_AT_ONCE = (
    "torch._dynamo",
    "sympy",
    "numba",
    "scipy",
    "trimesh",
    "networkx",
    "jinja2",
    "xatlas",
    "viser",
    "pycolmap",
)
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
sys.path.insert(0, {stubs!r})
from utils.imports import import_lightning
import_lightning()
import pytorch_lightning, torchmetrics.functional.image
from lightning_utilities.core.imports import RequirementCache
print("transformers" in sys.modules, bool(RequirementCache("transformers")), bool(RequirementCache("torch")))
"""


def test_packages_that_only_torchmetrics_wants_stay_out(tmp_path: Path) -> None:
    """A stand-in for transformers, installed as far as metadata can tell, is neither imported nor forgotten."""
    (tmp_path / "transformers").mkdir()
    (tmp_path / "transformers/__init__.py").write_text('__version__ = "9.0"\n')
    info = tmp_path / "transformers-9.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: transformers\nVersion: 9.0\n")
    program = PROGRAM.format(stubs=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "True", "True"]


def test_what_a_first_step_does_not_need_is_not_imported_before_it() -> None:
    """Half of the modules that a whole run uses; the compiler of torch stays at hand for whoever asks for it."""
    command = [sys.executable, "-c", STARTING, *NOT_AT_ONCE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "False"]
