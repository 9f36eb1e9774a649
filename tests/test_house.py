"""Holds the floor plan and the house style: imports fall one way, files and functions stay small."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
UTILS = "utils utils.config utils.mesh utils.metrics"
FILES = "datasets.geometry datasets.files"
STAGES = [f"datasets.capture.{stage}" for stage in ("frames", "setup", "poses", "region", "masks", "dataset", "series")]
ROOMS = {  # each room, and the rooms that its files may import from besides itself
    "utils": "",
    "utils.config": "utils",
    "utils.mesh": "utils",
    "utils.metrics": "utils utils.mesh",
    "models.ops": "utils models.ops.reference",  # the door; it imports other backends when they are first used
    "models.ops.reference": "utils models.ops",  # what all backends share lies beside the door
    "models.ops.numba": "utils models.ops",
    "models.ops.triton.networks": "utils models.ops models.ops.reference",
    "models.ops.triton": "utils models.ops models.ops.reference models.ops.triton.networks",
    "models.ops.tinycudann": "utils models.ops models.ops.reference",
    "models": "utils utils.config models.ops",
    "models.photographs": "utils models",
    "datasets.geometry": "utils",
    "datasets.files": f"{UTILS} datasets.geometry",
    "datasets.points": f"{UTILS} datasets {FILES}",
    "datasets.evaluation": f"{UTILS} datasets {FILES}",
    "datasets": f"{UTILS} models.ops datasets.points {FILES}",
    "datasets.capture": f"utils utils.mesh datasets datasets.points {FILES} {' '.join(STAGES)}",
    **{  # a stage knows those before it
        stage: f"utils utils.mesh datasets datasets.points datasets.capture {FILES} {' '.join(STAGES[:number])}"
        for number, stage in enumerate(STAGES)
    },
    "systems": "utils utils.config utils.mesh models models.ops",
    "systems.steps": "utils models models.photographs models.ops systems",
    "systems.runs": "utils utils.config utils.mesh systems systems.steps",
    "systems.export.materials": "utils utils.mesh",
    "systems.export": "utils utils.mesh utils.metrics models systems systems.runs systems.export.materials",
    "systems.training": f"{UTILS} models models.photographs models.ops systems systems.steps systems.runs "
    "systems.export",
    "systems.report": "utils utils.config utils.mesh systems systems.runs",
    "systems.sweep": "utils utils.config systems systems.runs systems.report",
    "systems.viewer": "utils utils.mesh models systems systems.steps systems.runs systems.export systems.training "
    "systems.report",
}
ROOMS |= dict.fromkeys(("launch", "scripts", "benchmarks"), " ".join(ROOMS))
MAX_FILES = 20  # in a folder
OPEN_ENDS = ("TO" + "DO", "FIX" + "ME")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def room_of(module: str) -> str:
    """The room that a module lies in: the longest name in the table that it begins with, or its top level."""
    parts = module.split(".")
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((name for name in names if name in ROOMS), parts[0])


def imports(path: str, nodes: list[ast.AST], modules: set[str]) -> set[str]:
    """The modules of the house that a file imports, wherever in the file it does so."""
    package = path.split("/")[:-1]
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join(filter(None, [*base, node.module]))
            targets = [f"{source}.{alias.name}" for alias in node.names]
            found += [target if target in modules else source for target in targets]
    tops = {module.split(".")[0] for module in modules} | set(ROOMS) | {"tests"}
    return {name for name in found if name.split(".")[0] in tops}


def room_problems(path: str, imported: set[str]) -> Iterator[str]:
    own = room_of(module_name(path))
    for target in sorted(imported):
        room = room_of(target)
        if own != "tests" and room != own and room not in ROOMS.get(own, "").split():
            yield f"{path}: {own} must not import {target}"


def crowded(files: Iterable[str]) -> Iterator[str]:
    """Folders that hold more files than a person can take in at a glance."""
    counts = Counter(path.rpartition("/")[0] for path in files)
    for folder, count in sorted(counts.items()):
        if count > MAX_FILES:
            yield f"{folder}: {count} files, over {MAX_FILES}"


def is_stub(body: list[ast.stmt]) -> bool:
    values = [node.value if isinstance(node, ast.Expr) else node for node in body]
    return all(isinstance(value, ast.Pass | ast.Constant) for value in values)


def style_problems(path: str, text: str, nodes: list[ast.AST]) -> Iterator[str]:
    if (lines := text.count("\n")) > 300:
        yield f"{path}: {lines} lines, over 300"
    if nodes[0].body and ast.get_docstring(nodes[0]) is None:
        yield f"{path}: does not open with a docstring"
    yield from (f"{path}: {word}" for word in OPEN_ENDS if re.search(rf"\b{word}\b", text))
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    protocols = [c for c in classes if any("Protocol" in ast.unparse(base) for base in c.bases)]
    stubs = {id(member) for protocol in protocols for member in protocol.body}
    may_print = room_of(module_name(path)) in ("scripts", "launch", "benchmarks")
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            yield f"{path}:{node.lineno}: import *"
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "print" and not may_print:
            yield f"{path}:{node.lineno}: print()"
        if isinstance(node, Function):
            doc = node.body[0] if ast.get_docstring(node) is not None else None
            lines = node.end_lineno - node.lineno + 1 - (doc.end_lineno - doc.lineno + 1 if doc else 0)
            if lines > 60:
                yield f"{path}:{node.lineno}: {node.name} has {lines} lines, over 60"
            if is_stub(node.body) and id(node) not in stubs:
                yield f"{path}:{node.lineno}: {node.name} has no body"


def problems(files: dict[str, str]) -> list[str]:
    """Everything that is against the house rules; files: path relative to the root -> text."""
    modules = {module_name(path) for path in files}
    graph, found = {}, [*crowded(files)]
    for path, text in sorted(files.items()):
        nodes = list(ast.walk(ast.parse(text, path)))  # the module first
        imported = imports(path, nodes, modules)
        graph[module_name(path)] = imported
        found += [*room_problems(path, imported), *style_problems(path, text, nodes)]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"import circle: {' -> '.join(error.args[1])}")
    return found


def house() -> dict[str, str]:
    left_out = {"exp", "runs", "load", "build"}  # data, and copies of the code, of each run or of pip
    tops = [p for p in ROOT.iterdir() if not p.name.startswith(".") and p.name not in left_out]
    paths = [p for top in tops for p in ([top] if top.suffix == ".py" else top.rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_house_is_in_order():
    files = house()
    assert {room_of(module_name(path)) for path in files} == {*ROOMS, "tests"}
    assert problems(files) == []


DOC = '"""Says what it is for."""\n'
GOOD = {"launch.py": DOC, "utils/a.py": DOC, "datasets/a.py": DOC, "models/a.py": DOC, "models/ops/__init__.py": DOC}
GOOD |= {"models/ops/b.py": DOC, "systems/a.py": DOC, "scripts/a.py": DOC, "tests/a.py": DOC, "utils/__init__.py": ""}
LINES = "    x = 1\n"


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("models/c.py", "import datasets.a", "models must not import datasets.a"),
        ("datasets/c.py", "def f():\n    from models.a import b", "datasets must not import models.a"),
        ("models/c.py", "from systems.a import x", "models must not import systems.a"),
        ("models/ops/c.py", "from ..a import x", "models.ops must not import models.a"),
        ("systems/c.py", "import launch", "systems must not import launch"),
        ("launch.py", "from scripts.a import main", "launch must not import scripts.a"),
        ("scripts/c.py", "import tests.a", "scripts must not import tests.a"),
        ("utils/a.py", "from utils.c import x", None),
        ("utils/c.py", "from os.path import *", "import *"),
        ("tests/c.py", "x = 1\n" * 299, "301 lines"),
        ("utils/c.py", f"def f():\n{LINES * 60}", "f has 61 lines"),
        ("utils/c.py", f'def f():\n    """A\n\n    long one."""\n{LINES * 59}', None),
        ("utils/c.py", "def f():\n    print(1)", "print()"),
        ("scripts/c.py", "def f():\n    print(1)", None),
        ("utils/c.py", "x = 1  # " + OPEN_ENDS[0], OPEN_ENDS[0]),
        ("utils/c.py", 'def f():\n    """Soon."""', "f has no body"),
        ("utils/c.py", "class A:\n    def f(self): ...", "f has no body"),
        ("utils/c.py", "class A(Protocol):\n    def f(self): ...", None),
    ],
)
def test_checker_sees_what_is_wrong(path, text, expected):
    found = problems(GOOD | {path: DOC + text + "\n"})
    assert len(found) == (expected is not None)
    assert all(expected in problem for problem in found)


def test_checker_sees_circles_and_missing_docstrings():
    circle = {"utils/a.py": f"{DOC}from utils.b import x\n", "utils/b.py": f"{DOC}def f():\n    from . import a\n"}
    assert problems(GOOD) == []
    assert "utils.a -> utils.b" in " ".join(problems(GOOD | circle))
    assert problems({"utils/a.py": "x = 1\n"}) == ["utils/a.py: does not open with a docstring"]
