"""What the README shows holds: its figures are those of the results, and the checks of pages see what does not hold."""

import json
import re
from pathlib import Path

import pytest
from page_checks import command_problem, commands, key_problems, launch_problem, link_problems, path_problems

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = [line for line in README.splitlines() if "](benchmarks/results/" in line]


def test_the_readme_says_how_to_begin() -> None:
    assert {"make demo", "make capture INPUT=cup.mp4", "make test"} <= {" ".join(words) for words in commands(README)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.search(r"results/([\w-]+)", row)[1])
def test_figures_are_those_of_the_results(row: str) -> None:
    commit, file = re.search(r"\[(\w+)\]\((benchmarks/results/[\w-]+\.json)\)", row).groups()
    result = json.loads((ROOT / file).read_text(encoding="utf-8"))
    figures, environment = result.get("median", result), result["environment"]
    assert environment["commit"].rstrip("+") == commit
    assert environment["device"] in row
    seconds, star = re.search(r"\| (\d+) s(\*?) \|", row).groups()
    assert float(seconds) == round(figures["train_seconds"])
    assert bool(star) == ("at a time on the GPU" in result.get("train_seconds_note", ""))
    assert re.search(r"PSNR ([\d.]+) dB", row)[1] == f"{figures['psnr']:.1f}"
    if ssim := re.search(r"SSIM ([\d.]+)", row):
        assert ssim[1] == f"{result['ssim']:.3f}"
    if chamfer := re.search(r"chamfer ([\d.]+) ‰", row):
        assert chamfer[1] == f"{result['whole']['chamfer_permille']:.3f}"
    if fscore := re.search(r"F-score ([\d.]+) at 1 %", row):
        judged = (
            result.get("whole") or result.get("mesh_against_gt") or next(iter(result["mesh_against_truth"].values()))
        )
        assert fscore[1] == f"{judged['fscore_1pct']:.3f}"
    if steps := re.search(r"([\d ]+) steps", row):
        trained = result.get("steps") or result["config"]["trainer"]["max_steps"]
        assert int(steps[1].replace(" ", "")) == trained


def test_the_demo_stands_with_its_command_and_cores() -> None:
    row = next(row for row in ROWS if "demo_cpu.json" in row)
    result = json.loads((ROOT / "benchmarks" / "results" / "demo_cpu.json").read_text(encoding="utf-8"))
    assert f"`{result['command']}`" in row
    assert f"{result['environment']['cpu_threads']} cores" in row


def test_versions_are_those_that_are_admitted_and_those_that_results_were_made_with() -> None:
    row = re.search(r"^\| Python, PyTorch \| (.*) \|$", README, re.MULTILINE)[1]
    least, below = re.search(
        r"^torch>=([\d.]+),<([\d.]+)", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE
    ).groups()
    assert f"PyTorch from {least}, below {below}, tested with " in row
    results = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "benchmarks/results").glob("*.json")]
    for name, said in (("python", "tested with 3.11 and 3.12"), ("torch", "tested with 2.11 and 2.13")):
        found = {str(result["environment"].get(name)) for result in results} - {"None"}
        versions = sorted({".".join(version.split(".")[:2]) for version in found})
        assert f"tested with {' and '.join(versions)}" == said
        assert said in row


def test_commands_are_read_as_a_shell_would() -> None:
    text = (
        "Text\n```bash\n$ make install && make test  # twice\nCUDA_VISIBLE_DEVICES=0 python launch.py \\\n"
        "    --gpu 0 tag='a b'\n# only a comment\n```\n```yaml\nmake: no\n```\n"
    )
    launch = ["python", "launch.py", "--gpu", "0", "tag=a b"]
    assert commands(text) == [["make", "install"], ["make", "test"], launch]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```bash\nmake demo\npython scripts/render_mesh.py a.obj b.png\nmake test PYTHON=python3\n```\n", None),
        ("```bash\nmake coffee\n```\n", "no make target coffee"),
        ("```bash\npython scripts/missing.py --all\n```\n", "no file scripts/missing.py"),
        ("```bash\npython -m benchmarks.ops --quick && python -m pip --version\n```\n", None),
        ("```bash\npython -m benchmarks.missing\n```\n", "no file benchmarks/missing.py"),
        ("```bash\npython -m benchmarks.train --config configs/no.yaml\n```\n", "no file configs/no.yaml"),
        ("```bash\n.ci/missing\n```\n", "no file .ci/missing"),
        ("[licence](LICENSE) [web](https://example.org) [top](#how-to-begin)\n## How to begin?\n", None),
        ("![picture](docs/missing.png)\n", "docs/missing.png: no such file"),
        ('<img src="missing.jpg" width="200">\n', "missing.jpg: no such file"),
        ("[data](docs/data.md#missing)\n", "docs/data.md#missing: no such heading"),
        ("[below](#missing)\n# Title\n", "#missing: no such heading"),
        ("in `systems/losses.py` and `configs/quality/{draft,high}.yaml`, `tests/*.py`, `systems/steps/`", None),
        ("in `systems/steps/missing.py`", "systems/steps/missing.py: no such file"),
        ("in `configs/quality/{draft,missing}.yaml`", "configs/quality/missing.yaml: no such file"),
        ("set `model.radius=1.5`, not `exp/NAME`", None),
        ("set `model.radios=1.5`", "model.radios: no such key"),
    ],
)
def test_checks_see_what_does_not_hold(text: str, expected: str | None) -> None:
    problems = [problem for words in commands(text) if (problem := command_problem(words, ROOT))]
    problems += link_problems(text, ROOT) + path_problems(text, ROOT) + key_problems(text, {"radius"})
    assert problems == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("arguments", "fits"),
    [
        ("--config configs/neus-demo.yaml --train", True),
        ("--config configs/neus-demo.yaml --train dataset.root_dir=PATH", True),
        ("--config exp/NAME/TAG/config/parsed.yaml --test --resume CHECKPOINT", True),
        ("--config configs/missing.yaml --train", False),
        ("--config configs/neus-demo.yaml --train model.radios=1", False),
        ("--config configs/neus-demo.yaml --no-such-flag", False),
    ],
)
def test_launch_commands_are_judged_by_launch_itself(arguments: str, fits: bool) -> None:
    assert (launch_problem(arguments.split()) is None) == fits
