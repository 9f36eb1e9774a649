"""What a start of the program imports, seen from a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

STARTING = """
import sys
sys.path.insert(0, {stubs!r})
import launch
from utils.imports import import_lightning
import_lightning()
import torch
import datasets.datamodule, models.neus, systems.training.attempts, systems.training.banner
from systems.configs import LossConfig, SystemConfig
from systems.steps.optim import build_optimizer
weight = torch.nn.Parameter(torch.ones(1))
optimizer = build_optimizer(SystemConfig(LossConfig({{}})), {{"geometry": [weight]}})
weight.sum().backward()
optimizer.step()
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
print(weight.item() < 1.0, *(name for name in sys.argv[1:] if name in sys.modules))
import torch._dynamo
print(torch._dynamo.is_compiling())
import pytorch_lightning, torchmetrics.functional.image
from lightning_utilities.core.imports import RequirementCache
print("transformers" in sys.modules, bool(RequirementCache("transformers")), bool(RequirementCache("torch")))
"""
NOT_AT_ONCE = (
    "torch._dynamo",
    "sympy",
    "numba",
    "scipy",
    "trimesh",
    "networkx",
    "jinja2",
    "rich",
    "xatlas",
    "viser",
    "pycolmap",
)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The words of each line. A stand-in for transformers is installed as far as metadata can tell."""
    stubs = tmp_path_factory.mktemp("stubs")
    (stubs / "transformers").mkdir()
    (stubs / "transformers/__init__.py").write_text('__version__ = "9.0"\n')
    info = stubs / "transformers-9.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: transformers\nVersion: 9.0\n")
    command = [sys.executable, "-c", STARTING.format(stubs=str(stubs)), *NOT_AT_ONCE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_packages_that_only_torchmetrics_wants_stay_out(said: list[list[str]]) -> None:
    """Neither imported nor forgotten."""
    assert said[2] == ["False", "True", "True"]


def test_what_a_first_step_does_not_need_is_not_imported_before_it(said: list[list[str]]) -> None:
    """Half of the modules that a whole run uses; the compiler of torch stays at hand for whoever asks for it."""
    assert said[0] == ["True"]
    assert said[1] == ["False"]


def test_photographs_are_opened_and_judged_without_torch() -> None:
    """They are while it is imported."""
    code = "import sys, launch, datasets.blender, datasets.mask_agreement; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_libraries_are_loaded_before_torch_is_imported() -> None:
    """In a thread, which leaves nothing of torch in Python."""
    code = """
import sys
from pathlib import Path
from utils.imports import libraries_ahead
with libraries_ahead("cpu"):
    pass
loaded = not Path("/proc/self/maps").exists() or "libtorch_cpu" in Path("/proc/self/maps").read_text()
print(loaded, "torch" in sys.modules)
import torch
print(float(torch.ones(3).sum()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "3.0"]
