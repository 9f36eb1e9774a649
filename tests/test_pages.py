"""Every page holds: commands, links, paths, keys and quoted messages exist, examples run, and none grows too long."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from page_checks import (
    blocks,
    code_spans,
    command_problem,
    commands,
    key_problems,
    known_keys,
    link_problems,
    path_problems,
    quoted_messages,
    strings_of,
)

from models import ops

ROOT = Path(__file__).resolve().parent.parent
LENGTHS = {  # lines that a page may have, a fifth more or less
    **{"quickstart": 80, "data": 140, "capture": 118, "training": 120, "several-gpus": 45, "quality": 95},
    **{"export": 120, "gallery": 40},
    **{
        "troubleshooting": 65,
        "viewer-and-report": 90,
        "evaluation": 65,
        "sweeps": 65,
        "benchmarks": 180,
    },
    **{"dev/architecture": 150, "dev/extending": 120, "dev/kernels": 110, "dev/glossary": 60},
    **{f"experiments/2026-11-{topic}": 150 for topic in ("objects", "photographs", "small-runs")},
    **{"experiments/2026-11-captures": 100, "experiments/2026-11-two-photographs": 150},
    **{"experiments/2026-11-whole-clock": 120},
}
GENERATED = ("configs", "dev/cards", "experiments/figures")  # as long as what they are made from
MAX_README = 120
TOLERANCE = 0.2
HISTORY = ("CHANGELOG.md", "docs/experiments")  # they name what was there at the time
FOR_THE_READER = ("systems/my_losses.py", "datasets/turntable.py", "systems/export/off.py")  # to write
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


@pytest.mark.parametrize("name", NAMES)
def test_links_and_commands_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    commanded = [problem for words in commands(text) if (problem := command_problem(words, ROOT))]
    assert link_problems(text, (ROOT / name).parent) + commanded == []


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(HISTORY)])
def test_paths_and_keys_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    keys = known_keys((ROOT / "docs" / "configs.md").read_text(encoding="utf-8"))
    assert path_problems(text, ROOT, FOR_THE_READER) + key_problems(text, keys) == []


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith((*HISTORY, "docs/benchmarks"))])
def test_commands_within_sentences_work(name: str) -> None:
    spans = code_spans((ROOT / name).read_text(encoding="utf-8"))
    lines = [shlex.split(span) for span in spans if span.startswith(("make ", "python "))]
    assert [problem for words in lines if (problem := command_problem(words, ROOT))] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("docs/")])
def test_a_page_keeps_to_its_length(name: str) -> None:
    page = name.removeprefix("docs/").removesuffix(".md")
    if page not in GENERATED:
        lines = len((ROOT / name).read_text(encoding="utf-8").splitlines())
        assert abs(lines - LENGTHS[page]) <= TOLERANCE * LENGTHS[page], f"{name}: {lines} lines, meant: {LENGTHS[page]}"


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_README
    linked = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)}
    assert set(NAMES) - {"README.md"} <= linked


def test_every_picture_is_shown() -> None:
    shown = {name for page in PAGES for name in re.findall(r"images/([\w.-]+)", page.read_text(encoding="utf-8"))}
    assert {path.name for path in (ROOT / "docs" / "images").iterdir()} <= shown


def test_messages_that_pages_quote_are_those_of_the_code() -> None:
    told = "\0".join(" ".join(text.split()) for text in strings_of(ROOT))
    quoted = [
        message
        for name in ("troubleshooting", "capture")
        for message in quoted_messages((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8"))
    ]
    assert len(quoted) > 40
    assert [text for text in quoted if re.sub(r"\d+", "…", text) not in told and text not in told] == []


def test_the_page_of_kernels_names_every_operation() -> None:
    text = (ROOT / "docs" / "dev" / "kernels.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| operation \|.*\n\|[ -|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    told = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    # of the entry itself
    other = {
        "AdamStep",
        "BACKENDS",
        "GridSpec",
        "Layers",
        "MirrorSpec",
        "PatchSpec",
        "RadianceHeads",
        "RayTargets",
        "module",
        "uses_triton",
    }
    assert told == set(ops.__all__) - other


def test_the_glossary_names_what_is_in_the_code() -> None:
    rows = [line for line in (ROOT / "docs/dev/glossary.md").read_text(encoding="utf-8").splitlines() if "`" in line]
    names = {word for row in rows for span in code_spans(row.split(" | ")[2]) for word in re.findall(r"\w{3,}", span)}
    files = [
        *ROOT.glob("configs/**/*.yaml"),
        *(
            path
            for part in ("models", "systems", "datasets", "utils", "scripts")
            for path in (ROOT / part).rglob("*.py")
        ),
    ]
    code = "\n".join(path.read_text(encoding="utf-8") for path in [*files, ROOT / "launch.py"])
    places = {"configs", "quality", "datasets", "systems", "scripts", "exp", "NAME", "TRIAL", "RUN", "STAGE"}
    assert sorted(name for name in names - places if name not in code) == []


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    dated = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", changes, re.MULTILINE)
    assert changes.index("## [Unreleased]") < changes.index(f"## [{dated[0][0]}]")
    assert project["version"] == dated[0][0]
    assert dated == sorted(dated, key=lambda entry: tuple(map(int, entry[0].split("."))), reverse=True)
    assert [date for _, date in dated] == sorted((date for _, date in dated), reverse=True)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert project["requires-python"] == ">=3.11"
    assert "sys.version_info < (3, 11)" in makefile


USE_OF_EXAMPLES = """
import sys
from pathlib import Path
from types import SimpleNamespace
import torch
from systems.configs import Experiment
from utils.config import compose, schema
from utils.mesh.files import read_mesh
overrides = ["dataset.root_dir=load/spot/train", "system.loss.lambda_relative_l1=0.5", "export.formats=[stl]"]
experiment = schema.parse(Experiment, compose.resolve(compose.collect([sys.argv[1]], overrides)))
scene = Turntable(experiment.dataset).load("train")
out = SimpleNamespace(rgb=torch.full((2, 3), 0.4), within_budget=torch.ones(2, dtype=torch.bool))
loss = relative_l1(out, SimpleNamespace(rgb=torch.full((2, 3), 0.9)), experiment.system.loss)
mesh, target = read_mesh(Path("load/spot/gt_mesh.ply")), Path(sys.argv[1]).with_name("spot.off")
write_off(mesh, target)
read = read_mesh(target)
same = abs(read.vertices[read.faces] - mesh.vertices[mesh.faces]).max() < 1e-6
print(len(scene), *(f"{x:.3f}" for x in (*scene.c2w[0, :, 3], loss)), same, end="")
"""


def test_examples_run(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "dev" / "extending.md").read_text(encoding="utf-8")
    (tmp_path / "run.yaml").write_text("\n".join(blocks(text, "yaml")), encoding="utf-8")
    (tmp_path / "run.py").write_text("\n".join([*blocks(text, "python"), USE_OF_EXAMPLES]), encoding="utf-8")
    command = [sys.executable, "-c", f"import runpy; runpy.run_path({str(tmp_path / 'run.py')!r}, run_name='run')"]
    command.append(str(tmp_path / "run.yaml"))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    # Of 60 views every 8th is held out, the first too: the second stands 6 degrees further, at a distance of 3.
    assert (done.stdout, done.stderr) == ("52 2.984 0.314 0.000 1.000 True", "")
