"""Pillow is loaded before pycolmap in every process, and COLMAP does not answer signals."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FIRST = {"datasets": "datasets/__init__.py", "benchmarks": "benchmarks/__init__.py", "tests": "tests/conftest.py"}


def imported(path: Path, top_level: bool = False) -> set[str]:
    """The modules that a file imports; top_level: outside of functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level else ast.walk(tree)
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return found | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_whoever_imports_pycolmap_lies_where_pillow_came_first():
    tops = [path for path in ROOT.iterdir() if not path.name.startswith(".") and path.name not in ("exp", "runs")]
    files = [path for top in tops for path in ([top] if top.suffix == ".py" else top.rglob("*.py"))]
    users = [path.relative_to(ROOT) for path in files if "pycolmap" in imported(path)]
    assert len(users) > 30
    assert {path.parts[0] for path in users} <= {*FIRST}
    assert [first for first in FIRST.values() if "PIL.Image" not in imported(ROOT / first, top_level=True)] == []


def test_a_process_has_pillow_first_and_its_own_answer_to_signals():
    code = (
        "import ctypes, os, signal, sys\n"
        "import datasets.capture.sparse_model\n"
        "order = list(sys.modules)\n"
        "assert order.index('PIL._imaging') < order.index('pycolmap')\n"
        "print('ready', flush=True); os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-15, "ready\n", "")
