"""What a start of the program imports, seen from a process of its own."""

import subprocess
import sys
from pathlib import Path

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
