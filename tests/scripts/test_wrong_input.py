"""What people mistype, and the folders that they confuse: one line each with the right name, before torch is there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from systems.runs.seal import seal

ROOT = Path(__file__).resolve().parents[2]
COLMAP = ["launch.py", "--config", "neus-colmap", "--train"]
TRUTH = "load/spot/gt_mesh.ply"
DEMO = ["launch.py", "--config", "neus-demo", "--train"]
TYPED = [  # what is typed, and what the one line has to hold
    ([*DEMO[:-1], "--tran"], "Did you mean '--train'?"),
    ([*DEMO[:-1], "train"], "Did you mean '--train'?"),
    (["launch.py", "--config", "neus-dmo", "--train"], "Did you mean 'neus-demo'?"),
    (["launch.py", "--config", "configs/neus-dem.yaml", "--train"], "Did you mean 'neus-demo.yaml'?"),
    (["launch.py", "neus-demo", "--train"], "write --config neus-demo"),
    ([*DEMO, "trainer.max_steps", "=", "5"], "one word: no spaces around the ="),
    ([*DEMO, "trainer.max_steps", "=5"], "one word: no spaces around the ="),
    ([*DEMO, "trainer.max_steps=", "5"], "one word: no spaces around the ="),
    ([*DEMO, "trainer.max_steps:5"], "with = in place of the colon"),
    ([*DEMO, "--trainer.max_steps=5"], "no dashes: trainer.max_steps=5"),
    ([*DEMO, "max_steps=5"], "Did you mean 'trainer.max_steps'?"),
    ([*DEMO, "--max_steps", "5"], "such as trainer.max_steps=5000"),
    ([*DEMO, "trainer.max_step=5"], "Did you mean 'max_steps'?"),
    ([*DEMO, "model.name=nues"], "Did you mean 'neus'?"),
    ([*DEMO, "--gpu", "cuda"], "expected auto, cpu, the index of a GPU"),
    ([*DEMO, "--gpu", "0,0"], "--gpu 0,0: expected each GPU once"),
    ([*DEMO, "--gpu", "0,cpu"], "and no cpu among them"),
    (["launch.py", "--resume", "{}/exp/demo/a@1", "--test", "--gpu", "0,1"], "Name one, such as --gpu 0."),
    (["scripts/view.py", "{}/exp/demo/a@1", "--gpu", "1,0"], "Name one, such as --gpu 1."),
    ([*DEMO, "--view", "99999"], "--view 99999: expected a port from 0 to 65535"),
    (["launch.py", "--config", "", "--train"], "--config: expected a YAML file"),
    (["launch.py", "--config", "none-like-it", "--train"], "Known names: nerf-blender, "),
    (["launch.py", "--config", "configs/neus-demo.yml", "--train"], "Did you mean 'neus-demo'?"),
    (["launch.py", "--config", "configs\\neus-demo.yaml", "--train"], "Did you mean 'neus-demo'?"),
    (["launch.py", "--config", "load/spot/gt_mesh.ply", "--train"], "is no text in UTF-8, so it is not read as YAML"),
    ([*DEMO, "trainer.max_steps = 5"], "one word: no spaces around the ="),
    ([*DEMO, "trainer/max_steps=5"], "Did you mean 'trainer.max_steps'?"),
    ([*DEMO, "trainer.max_steps="], "expected a number, got null"),
    ([*DEMO, "model.radius=1,5"], "at most 1e6 or auto, got '1,5'. Write numbers with a point, and without commas."),
    ([*DEMO, "export.formats=glb"], "Write export.formats=[glb]."),
    ([*DEMO, "export.formats=[glb"], "Close what is open ([, {{, quotes)"),
    ([*DEMO, "export.formats=[glb,", "obj]"], 'use quotes: "export.formats=[glb, obj]"'),
    ([*DEMO, "dataset.root_dir=my", "scans/a", "b"], 'use quotes: "dataset.root_dir=my scans/a b"'),
    ([*DEMO, "load/spot"], "Write dataset.root_dir=load/spot."),
    ([*DEMO, "export.texture=yes"], "got true"),
    (["scripts/capture.py", "load/spot/train", "--config", "neus-captur"], "Did you mean 'neus-capture'?"),
    (["scripts/capture.py", "load/spot/train", "trainer.max_step=5"], "Did you mean 'max_steps'?"),
    (["scripts/capture.py", "load/spot/train", "--gpu", "x"], "--gpu x: expected auto, cpu"),
]
FOLDERS = [  # {} stands for a folder with two runs, exp/demo/a@1 and exp/demo/b@2
    ([*DEMO, "dataset.root_dir=load/spt"], "Did you mean 'load/spot'?"),
    ([*DEMO, "dataset.root_dir=docs"], "NeRF-Synthetic"),
    ([*DEMO, "dataset.root_dir={}/empty"], "the folder is empty"),
    (["launch.py", "--config", "configs", "--train"], "is a folder"),
    (["launch.py", "--config", "{}/exp/demo/a@1", "--test"], "--resume {}/exp/demo/a@1"),
    (["launch.py", "--resume", "{}/exp/dmo", "--test"], "Did you mean '{}/exp/demo'?"),
    (["launch.py", "--resume", "{}/exp/demo", "--train"], "holds 2 runs"),
    ([*DEMO, "--resume", "{}/exp/demo/a@1", "trainer.max_steps=6", "system.warmup_steps=1"], "is at step 7, beyond"),
    (["launch.py", "--resume", "{}/exp/demo/a@1/save", "--test"], "Give the run's folder, {}/exp/demo/a@1."),
    (["launch.py", "--resume", "{}/exp/demo/a@1/save/it7-mc32.ply", "--test"], "is no checkpoint"),
    (["scripts/view.py", "{}/exp/demo/a@3"], "Did you mean '{}/exp/demo/"),
    (["scripts/view.py", "{}/exp"], "{}/exp/demo/a@1 (step 7)"),
    (["scripts/compare.py", "{}/exp/demo", "{}/exp/demo"], "{}/exp/demo/b@2 (no checkpoint yet)"),
    (["scripts/evaluate.py", "mesh", "--pred", "{}/exp/demo", "--gt", "x.ply"], "Give one of them"),
    (
        ["scripts/evaluate.py", "mesh", "--pred", "{}/exp/demo/a@1", "--gt", "load/spot/gt_msh.ply"],
        "load/spot/gt_mesh.ply",
    ),
    (["scripts/evaluate.py", "images", "--pred", "{}/no", "--gt", "load"], "load: expected images"),
    (["scripts/prepare.py", "load/spt", "{}/out"], "Did you mean 'load/spot'?"),
    (["scripts/prepare.py", "load/spot/train/r_0.png", "{}/out"], "got one photo. Give load/spot/train."),
    (["scripts/prepare.py", "load/spot/train", "{}/out", "--frames", "40"], "--frames 40: chooses frames of a video"),
    (["scripts/prepare.py", "docs", "load", "{}/out", "--series", "one"], "2 INPUTs are given"),
    (["scripts/prepare.py", "{}/clip.mp4", "{}/out", "--series", "b_"], "is a video, which is one series"),
    (["scripts/prepare.py", "docs", "{}/out", "--only", "poses", "--neus"], "--neus: is written by the stage dataset"),
    (["scripts/prepare.py", "docs", "docs"], "are the same folder"),
    ([*DEMO, "dataset.root_dir=load/spot/gt_mesh.ply"], "no such folder. That is a file."),
    ([*DEMO, "dataset.root_dir={}/lost"], "no such folder. That is a link to nothing."),
    ([*DEMO, "dataset.root_dir=load\\spot"], "Did you mean 'load/spot'?"),
    ([*DEMO, 'dataset.root_dir="load/spot'], "Did you mean 'load/spot'?"),
    ([*DEMO, "dataset.root_dir={}/my"], 'Put a path with spaces into quotes: "{}/my scans".'),
    ([*DEMO, "--exp_dir", "LICENSE"], "is a file, and results need a folder"),
    ([*DEMO, "--exp_dir", "{0}/lost/a"], "--exp_dir {0}/lost/a: nothing can be written into {0}/lost"),
    ([*DEMO, "--runs_dir", "{0}/lost"], "--runs_dir {0}/lost: nothing can be written into {0}/lost"),
    (["scripts/prepare.py", "load/spot/train", "{0}/lost/a"], "OUT {0}/lost/a: nothing can be written into {0}/lost"),
    (
        ["scripts/compare.py", "a", "b", "--out", "{0}/lost/a.html"],
        "nothing can be written into {0}/lost",
    ),
    (["scripts/evaluate.py", "mesh", "--pred", TRUTH, "--gt", TRUTH, "--out", "LICENSE/a"], "LICENSE is a file"),
    (
        ["scripts/sweep.py", "configs/sweeps/truth.yaml", "--exp_dir", "{0}/lost"],
        "nothing can be written into {0}/lost",
    ),
    (["scripts/gallery.py", "{}/exp/demo/a@1", "--out", "{0}/lost/a.jpg"], "nothing can be written into {0}/lost"),
    (["scripts/render_mesh.py", TRUTH, "{0}/lost/a.png"], "nothing can be written into {0}/lost"),
    (["scripts/scale_sheet.py", "{0}/lost/a.pdf"], "nothing can be written into {0}/lost"),
    (["scripts/view.py", "a" * 300], "File name too long. Give a shorter name."),
    (["launch.py", "--config", "a" * 300, "--train"], "File name too long. Give a shorter name."),
    (["launch.py", "--resume", "a" * 300, "--train"], "File name too long. Give a shorter name."),
    ([*DEMO, "--runs_dir", "LICENSE/a"], "is a file, and results need a folder"),
    (["launch.py", "--config", "neus-colmap", "--train", "dataset.root_dir=load/spot"], "Set dataset.name=blender."),
    (
        ["launch.py", "--config", "neus-colmap", "--train", "dataset.root_dir=load/spot/val"],
        "prepare.py load/spot/val OUT",
    ),
    (
        ["launch.py", "--resume", "LICENSE.txt", "--train"],
        "no such file or folder. Did you mean 'LICENSE'?",
    ),
    (["launch.py", "--resume", "requirements.txt", "--train"], "requirements.txt: is no checkpoint"),
    (["scripts/view.py", "{}/exp/demo/a@1", "--port", "abc"], "--port abc: expected a port"),
    (["scripts/export.py", "{}/exp/demo/a@1", "--gpu", "x"], "--gpu x: expected auto, cpu"),
    (["scripts/export.py", "{}/exp/demo/a@1", "glb"], "Did you mean '--glb'?"),
    (["scripts/export.py", "{}/exp/demo/a@1", "fbx"], "Formats are --glb, --obj, "),
    (["scripts/compare.py", "LICENSE", "{}/exp/demo/a@1"], "LICENSE: no such folder. That is a file."),
    (["scripts/screenshots.py", "{}/exp/dmo"], "Did you mean '{}/exp/demo'?"),
    (["scripts/screenshots.py", "{}/exp/demo"], "holds 2 runs"),
    (["scripts/gallery.py", "{}/exp/dem", "--out", "a.jpg"], "Did you mean '{}/exp/demo'?"),
    (["scripts/render_mesh.py", "load/spot/gt_msh.ply", "a.png"], "Did you mean 'load/spot/gt_mesh.ply'?"),
    (
        ["scripts/evaluate.py", "mesh", "--pred", "load/spot/gt_mesh.ply", "--gt", "x.ply", "--out", "docs"],
        "is a folder",
    ),
    (["scripts/prepare.py", "requirements.txt", "{}/out"], "got a file of text. Give the video."),
    (
        ["scripts/prepare.py", "{}/noise.mp4", "{}/out"],
        "got a file that cannot be decoded",
    ),
    (["scripts/evaluate.py", "mesh", "--pred", "{}/noise.ply", "--gt", TRUTH], "does not begin as a ply does"),
    (["scripts/evaluate.py", "mesh", "--pred", TRUTH, "--gt", "load/spot/train/r_0.png"], "got a file named .png"),
    (["scripts/evaluate.py", "mesh", "--pred", TRUTH, "--gt", "{}/noise.obj"], "got an obj without vertices"),
    (["scripts/evaluate.py", "mesh", "--pred", TRUTH, "--gt", "{}/clip.mp4"], "got an empty file"),
    ([*DEMO, "dataset.gt_mesh=load/spot/gt_msh.ply"], "Did you mean 'load/spot/gt_mesh.ply'?"),
    ([*DEMO, "dataset.gt_mesh={}/noise.ply"], "dataset.gt_mesh: {}/noise.ply: expected a ply"),
    (["scripts/prepare.py", "{}/empty", "{}/out"], "got none. Put the images there"),
    (["scripts/prepare.py", "load/spot", "{}/out"], "leave prepare.py out and train on the folder with launch.py"),
    (["scripts/prepare.py", "load/spot/train", "LICENSE"], "LICENSE: expected a folder, or nothing yet, got a file"),
    (["scripts/prepare.py", "load/spot/train", "out", "seed=3"], "seed=3: expected the folder OUT last"),
    (["scripts/sweep.py", "configs/sweeps"], "configs/sweeps: is a folder. Give a YAML file."),
    (["scripts/sweep.py", "configs/sweeps/nerf.yaml"], "no such config file"),
    (["scripts/sweep.py", "configs/sweeps/trut.yaml"], "Did you mean 'truth.yaml'?"),
    (["scripts/sweep.py", "truth"], "Did you mean 'configs/sweeps/truth.yaml'?"),
    (["scripts/sweep.py", "configs/neus-demo.yaml"], "python launch.py --config configs/neus-demo.yaml --train"),
    (["launch.py", "--config", "README.md", "--train"], "Give a YAML file, such as configs/neus-demo.yaml."),
    (["launch.py", "--resume", "{}/exp/demo/a@1/config/parsed.yaml", "--test"], "the run's folder, {}/exp/demo/a@1."),
    (["scripts/view.py", "{}/exp/demo/a@1/save/it7-mc32.ply"], "the run's folder, {}/exp/demo/a@1."),
    ([*DEMO, "dataset.root_dir={}/exp/demo/a@1"], "is the folder of a run, and holds no photographs."),
    ([*COLMAP, "dataset.root_dir={}/clip.mp4"], "python scripts/prepare.py {}/clip.mp4 OUT"),
    (["scripts/evaluate.py", "dtu", "--pred", TRUTH, "--scan", "24", "--gt", "load"], "has no Points and no ObsMask"),
    (["scripts/evaluate.py", "mesh", "--pred", TRUTH, "--gt", TRUTH, "--cameras", "LICENSE"], "expected cameras as"),
]
_RUNNER = """
import contextlib, importlib, io, json, sys
sys.path.insert(0, "scripts")
found = []
for script, *words in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = importlib.import_module(script.removesuffix(".py").replace("/", ".")).main(words)
    found.append((code, said.getvalue(), "torch" in sys.modules))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[int, str, bool]]]:
    """What is said to all of them, by one process that did not import torch before."""
    root = tmp_path_factory.mktemp("runs")
    for run in ("a@1", "b@2"):
        (root / "exp/demo" / run / "config").mkdir(parents=True)
        (root / "exp/demo" / run / "config/parsed.yaml").write_text("name: demo\n")
    for name in ("ckpt/epoch=0-step=7.ckpt", "save/it7-mc32.ply"):
        (root / "exp/demo/a@1" / name).parent.mkdir()
        (root / "exp/demo/a@1" / name).touch()
    (checkpoint := root / "exp/demo/a@1/ckpt/epoch=0-step=7.ckpt").write_bytes(b"weights")
    seal(checkpoint)
    (root / "empty").mkdir()
    (root / "my scans").mkdir()
    (root / "lost").symlink_to("nowhere")
    (root / "clip.mp4").touch()
    for suffix in ("mp4", "ply", "obj"):
        (root / f"noise.{suffix}").write_bytes(bytes(range(256)) * 20)
    typed = [[word.format(root) for word in words] for words, _ in TYPED + FOLDERS]
    command = [sys.executable, "-c", _RUNNER, json.dumps(typed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    return root, {" ".join(words): answer for (words, _), answer in zip(TYPED + FOLDERS, answers, strict=True)}


@pytest.mark.parametrize(
    ("words", "expected"), TYPED + FOLDERS, ids=lambda part: part if isinstance(part, str) else None
)
def test_one_line_says_what_is_meant_before_torch_is_imported(words: list[str], expected: str, told: tuple) -> None:
    root, answers = told
    code, said, has_torch = answers[" ".join(words)]
    assert code == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert expected.format(root) in said
    assert not has_torch
