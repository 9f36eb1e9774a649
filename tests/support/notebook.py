"""Runs the cells of a notebook in order without Jupyter; the commands in them are those of this checkout."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import launch
from scripts import prepare
from utils.registry import ROOT

NOTEBOOK = json.loads((ROOT / "docs" / "colab.ipynb").read_text(encoding="utf-8"))
_OURS: dict[str, Callable[[list[str]], int]] = {"launch.py": launch.main, "scripts/prepare.py": prepare.main}
_SHOWN = "shown"


def source(cell: dict[str, Any]) -> str:
    """The text of a cell."""
    return "".join(cell["source"])


def code_cells(without: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The cells with code, but for those with one of these tags."""
    left_out = set(without)
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    return [cell for cell in cells if not left_out & set(cell["metadata"].get("tags", ()))]


def as_python(text: str) -> str:
    """A cell with its lines that begin with ! as calls of _shell and with %cd as calls of _cd, braces filled in."""
    text = re.sub(r"^( *)!(.*)$", r"\1_exit_code = _shell(f'''\2''')", text, flags=re.MULTILINE)
    return re.sub(r"^( *)%cd (.*)$", r"\1_cd(f'''\2''')", text, flags=re.MULTILINE)


def shell(line: str) -> int:
    """Runs a line, what it says of launch.py and prepare.py in this process; returns the exit code."""
    words = shlex.split(line)
    if words[0] == "python" and words[1] in _OURS:
        return _OURS[words[1]](words[2:])
    return subprocess.run([sys.executable, *words[1:]] if words[0] == "python" else words, check=False).returncode


def checkout(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Makes `folder` the working directory, with what the commands read; what they write stays in it."""
    (folder / "load").mkdir(parents=True)
    for name in ("launch.py", "configs", "scripts", "load/spot"):
        (folder / name).symlink_to(ROOT / name)
    patch.chdir(folder)


def stand_in_for_ipython(patch: pytest.MonkeyPatch) -> list[Any]:
    """Puts a module in the place of IPython's; returns the list of what cells display from now on."""
    shown: list[Any] = []
    module = ModuleType("IPython.display")
    module.display = shown.append
    module.HTML = lambda text: text
    module.Image = lambda path, width: Path(path)
    patch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    patch.setitem(sys.modules, "IPython.display", module)
    return shown


class ColabFiles:
    """Colab's uploads and downloads: uploads put files into the working directory, as Colab does."""

    def __init__(self, uploads: dict[str, bytes], patch: pytest.MonkeyPatch) -> None:
        self.uploads, self.downloaded = uploads, []
        colab = ModuleType("google.colab")
        colab.files = self
        patch.setitem(sys.modules, "google.colab", colab)

    def upload(self) -> dict[str, bytes]:
        """What the visitor chose, by the names of the files; none where the visitor cancelled."""
        for name, content in self.uploads.items():
            Path(name).write_bytes(content)
        return self.uploads

    def download(self, path: str) -> None:
        """Notes the file."""
        self.downloaded.append(path)


def run_cells(cells: Iterable[dict[str, Any]], settings: dict[str, Any], **known: Any) -> dict[str, Any]:
    """Runs cells in order, with `settings` in place of those of the notebook; returns the names that they defined.

    known: names that are there from the beginning, and a `shell` of one's own."""
    names: dict[str, Any] = {"_shell": shell, "_cd": os.chdir, **known}
    for cell in cells:
        exec(compile(as_python(source(cell)), cell["id"], "exec"), names)
        if "parameters" in cell["metadata"].get("tags", ()):
            unknown = settings.keys() - names.keys()
            assert not unknown, f"no settings of the notebook: {unknown}"
            names.update(settings)
    return names
