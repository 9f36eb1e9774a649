"""Where a package has no wheel, what needs it ends with one line, and all else works."""

import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

from utils.errors import MissingPackageError
from utils.packages import _IN, _NEEDED, require
from utils.registry import ROOT

WITHOUT = """
import runpy, sys

sys.modules.update(dict.fromkeys(("pycolmap", "xatlas", "mcubes", "pxr")))
sys.argv = sys.argv[1:]
sys.path.insert(0, ".")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_without(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *argv], cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


@pytest.mark.parametrize("name", sorted(_NEEDED))
def test_the_line_says_what_needs_it_and_what_to_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    pip = _IN.get(name, name)
    with pytest.raises(MissingPackageError, match=rf"{pip} is not installed.*[Ww]ithout it.*pip install {pip}"):
        require(name)


def test_an_import_that_fails_inside_the_package_is_no_missing_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "xatlas.py").write_text("import no_such_module", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "xatlas", raising=False)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        require("xatlas")


def test_components_are_listed_without_any_of_them() -> None:
    found = run_without("launch.py", "--list")
    assert found.returncode == 0, found.stderr
    assert "colmap  (datasets/colmap.py)" in found.stdout


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["scripts/prepare.py", "no-such-clip.mp4", "out"], "pycolmap"),
        (["launch.py", "--config", "configs/neus-demo.yaml", "--train", "export.texture=field"], "xatlas"),
        (["launch.py", "--config", "configs/neus-demo.yaml", "--train", "export.formats=[usdz]"], "usd-core"),
    ],
)
def test_a_command_that_needs_one_ends_with_one_line(argv: list[str], name: str, tmp_path: Path) -> None:
    ours = ["--gpu", "cpu", "--exp_dir", str(tmp_path), "--runs_dir", str(tmp_path)] if "launch.py" in argv else []
    found = run_without(*argv, *ours)
    assert found.returncode == 2
    assert found.stderr.splitlines()[-1].startswith(f"error: {name} is not installed.")
    assert len(found.stderr.splitlines()) == 1


def test_files_of_tests_are_skipped_where_a_package_is_missing() -> None:
    code = WITHOUT.replace("sys.argv = sys.argv[1:]", "import os").split("sys.path.insert")[0]
    code += "import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    files = [
        "tests/datasets/test_colmap.py",
        "tests/scripts/test_prepare.py",
        "tests/datasets/geometry/test_inverse.py",
    ]
    found = subprocess.run(
        [sys.executable, "-c", code, "-p", "no:cacheprovider", *files],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    assert "2 skipped" in found.stdout
