"""Without the packages, or with an old Python, whatever is run as a file says in one line what to do."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from utils.registry import ROOT
from utils.terminal import installed

SCRIPTS = sorted(path for path in ROOT.glob("scripts/*.py") if "sys.path.insert" in path.read_text("utf-8"))
FILES = [ROOT / "launch.py", *SCRIPTS]
MODULE = "utils.terminal.installed"


def first_imports(path: Path) -> list[str]:
    """The modules that a file imports at its top, in order, without those of every Python."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [name for node in tree.body for name in imported(node)]
    return [name for name in names if name.partition(".")[0] not in sys.stdlib_module_names]


def imported(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_looks_for_packages_before_it_imports_any(path: Path) -> None:
    assert first_imports(path)[0] == MODULE


@pytest.mark.parametrize(
    "path", [*FILES, ROOT / "utils/__init__.py", Path(installed.__file__)], ids=lambda path: path.name
)
def test_an_old_python_can_read_it(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize("name", ["launch.py", "scripts/photosurf.py", "scripts/prepare.py"])
def test_without_packages_one_line_tells_which_and_how_to_get_them(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-S", ROOT / name, "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {sys.executable} has no torch, pytorch-lightning")
    assert done.stderr.count("\n") == 1
    assert "requirements.txt" in done.stderr or ".venv" in done.stderr


def test_the_table_is_that_of_the_requirements() -> None:
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines())
    needed = [item for item in map(Requirement, filter(None, lines)) if item.marker is None]
    least = {item.name: next(part.version for part in item.specifier if part.operator == ">=") for item in needed}
    assert {pip: version for _, pip, version in installed.NEEDED} == least


@pytest.mark.parametrize("pip", [pip for _, pip, _ in installed.NEEDED])
def test_versions_are_those_of_the_metadata(pip: str) -> None:
    assert installed.versions()[pip] == version(pip)


def test_here_all_is_there() -> None:
    assert (installed.what_lacks(), installed.what_is_old()) == (None, None)


def test_an_old_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    assert "Python 3.11 or newer is needed" in installed.what_lacks()
    assert "is 3.9.18" in installed.what_lacks()


def test_an_old_package_is_named_with_what_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "NEEDED", (("numpy", "numpy", "99.1"), ("torch", "torch", "2.11")))
    assert f": numpy {version('numpy')} (99.1). " in installed.what_is_old()


@pytest.mark.parametrize(
    ("found", "least", "older"),
    [
        ("2.10.1+cu128", "2.11", True),
        ("2.11.0+cu128", "2.11", False),
        ("2.11", "2.11", False),
        ("11.3.0", "11.3", False),
        ("9.5", "11.3", True),
        ("2.12.0a0", "2.11", False),
        ("unknown", "2.11", False),
        ("", "2.11", False),
    ],
)
def test_versions_are_compared_by_number(found: str, least: str, older: bool) -> None:
    assert installed.is_older(found, least) == older


def test_the_environment_of_make_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(installed, "ROOT", str(tmp_path))
    monkeypatch.setattr(installed, "NEEDED", (("nowhere_to_be_found", "nowhere", "1"),))
    monkeypatch.setattr(sys, "argv", ["launch.py", "--train"])
    assert installed.what_lacks().endswith(f"{python} launch.py --train")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert "-m pip install -r" in installed.what_lacks()
