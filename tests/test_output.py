"""What a run shows: few lines at its start and end, lines of progress in between, and what TensorBoard reads back."""

import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from sphere_scene import write_sphere_scene
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util.tensor_util import make_ndarray

import launch
from systems.configs import read_experiment
from systems.training import progress_display
from utils.images import read_image

TINY = [
    "trainer.max_steps=60",
    "trainer.log_every_n_steps=5",
    "trainer.val_check_interval=30",
    "trainer.limit_val_batches=2",
    "system.warmup_steps=10",
    "model.num_samples_per_ray=64",
    "model.train_num_rays=32",
    "model.max_train_num_rays=256",
    "model.grid_resolution=16",
    "model.geometry.xyz_encoding_config.n_levels=4",
    "model.geometry.xyz_encoding_config.log2_hashmap_size=10",
    "model.geometry.isosurface.resolution=48",
    "dataset.n_test_traj_steps=2",
]
PROGRESS = re.compile(r"(step|view) \d+ of \d+ \(\d+ %\): .*")


@dataclass(frozen=True)
class Shown:
    """What a run left on the terminal and on disk."""

    code: int
    err: list[str]
    out: list[str]
    folder: Path


def shown(folder: Path, *args: str) -> Shown:
    """Runs launch.py in a folder with a scene; neither of its streams is a terminal."""
    err, out = StringIO(), StringIO()
    folders = ["--exp_dir", str(folder / "exp"), "--runs_dir", str(folder / "runs"), "--gpu", "cpu"]
    with redirect_stderr(err), redirect_stdout(out):
        code = launch.main([*folders, *args])
    return Shown(code, err.getvalue().splitlines(), out.getvalue().splitlines(), folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """A training with lines of progress as often as they may come."""
    folder = tmp_path_factory.mktemp("shown")
    root = write_sphere_scene(folder / "scene")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress_display, "LINE_SECONDS", 0.0)
        return shown(folder, "--config", "configs/neus-demo.yaml", "--train", f"dataset.root_dir={root}", *TINY)


def test_the_start_says_what_will_happen_in_ten_lines_at_most(trained: Shown) -> None:
    assert trained.code == 0, trained.err
    first = next(index for index, line in enumerate(trained.err) if PROGRESS.fullmatch(line))
    start = trained.err[:first]
    assert len(start) <= 10, start
    run = next((trained.folder / "exp/neus-demo").iterdir())
    for said in (
        "experiment: neus-demo, neus on blender",
        "dataset:    scene, views: 20 to train on, 2 to validate, 2 to test; 64x64 pixels",
        " parameters",
        "device: ",
        "steps:      from 0 to 60, validation views every 30, then test views, video and mesh",
        f"results:    {run}, ",
        f"{trained.folder / 'runs/neus-demo' / run.name}",
    ):
        assert said in "\n".join(start)


def test_between_start_and_end_there_is_progress_alone(trained: Shown) -> None:
    lines = [line for line in trained.err if PROGRESS.fullmatch(line)]
    assert lines == trained.err[-len(lines) :]
    assert sum(line.startswith("step ") for line in lines) == 60
    assert [line.split(" (")[0] for line in lines if line.startswith("view ")] == ["view 1 of 2", "view 2 of 2"]
    assert re.search(r"step 50 of 60 \(83 %\): loss [\d.]+, psnr [\d.]+, [\d.]+ steps/s, .* left", "\n".join(lines))


def test_the_end_says_what_was_made_and_where_in_five_lines(trained: Shown) -> None:
    assert len(trained.out) == 5, trained.out
    assert re.fullmatch(r"done in [^,]+, training [^,]+, psnr [\d.]+, ssim [\d.]+", trained.out[0])
    for line, kind in zip([*trained.out[1:3], trained.out[4]], ("mesh", "video", "report"), strict=True):
        name, path = line.split(",")[0].split(":", 1)
        assert name == kind
        assert Path(path.strip()).is_file()
    assert re.fullmatch(r"verdict: (good|(fair|poor): .+\. To do: .+\.)", trained.out[3])


def test_without_progress_there_is_silence(trained: Shown, tmp_path: Path) -> None:
    run = next((trained.folder / "exp/neus-demo").iterdir())
    found = shown(tmp_path, "--resume", str(run), "--validate", "trainer.enable_progress_bar=false")
    assert found.code == 0
    assert not [line for line in found.err if PROGRESS.fullmatch(line)]
    assert "steps:      none; renders validation views at step 60" in found.err
    assert len(found.out) == 2


@pytest.mark.parametrize(("mode", "last"), [("--validate", "view 2 of 2"), ("--predict", "view 3 of 3")])
def test_other_passes_count_their_views(
    trained: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, last: str
) -> None:
    monkeypatch.setattr(progress_display, "LINE_SECONDS", 0.0)
    run = next((trained.folder / "exp/neus-demo").iterdir())
    found = shown(tmp_path, "--resume", str(run), mode, "dataset.n_test_traj_steps=3")
    assert found.code == 0
    assert found.err[-1].startswith(f"{last} (100 %): ")
    assert len(found.out) <= 4


@pytest.fixture(scope="module")
def events(trained: Shown) -> EventAccumulator:
    """What TensorBoard reads of the training."""
    found = EventAccumulator(str(next((trained.folder / "runs/neus-demo").iterdir())), size_guidance={"images": 0})
    return found.Reload()


def test_scalars_have_the_names_of_the_house(events: EventAccumulator) -> None:
    tags = set(events.Tags()["scalars"])
    train = {"loss", "loss/rgb_mse", "loss/eikonal", "loss/mask", "psnr", "inv_s", "rays", "samples", "occupied"}
    assert tags >= {f"train/{name}" for name in train} | {"perf/rays_per_s"}
    assert tags >= {f"{split}/{name}" for split in ("val", "test") for name in ("psnr", "ssim")}
    assert all(re.fullmatch(r"(train|val|test|perf|time|memory|lr|hparam)/[a-z_/]+", tag) for tag in tags), tags
    assert [event.step for event in events.Scalars("train/psnr")] == list(range(4, 60, 5))
    assert [event.step for event in events.Scalars("val/psnr")] == [30, 60]
    assert all(0.0 < event.value < 1e9 for event in events.Scalars("perf/rays_per_s"))


def test_curves_of_rates_time_and_memory(events: EventAccumulator) -> None:
    config = read_experiment(["configs/neus-demo.yaml"], TINY).system
    for part in ("geometry", "texture", "variance"):
        found = {event.step: event.value for event in events.Scalars(f"lr/{part}")}
        own = config.optimizer.params.get(part)
        rate = config.optimizer.args.lr if own is None or own.lr is None else own.lr
        assert list(found) == list(range(4, 60, 5))
        assert found == pytest.approx({step: rate * config.scheduler.at(step) for step in found})
    assert len({event.value for event in events.Scalars("lr/geometry")}) > 6
    rays, steps, seconds = (
        np.array([event.value for event in events.Scalars(name)])
        for name in ("train/rays", "perf/rays_per_s", "time/step_ms")
    )
    np.testing.assert_allclose(rays / steps * 1e3, seconds, rtol=1e-4)
    memory = [event.value for event in events.Scalars("memory/process_peak_gib")]
    assert 0.05 < memory[0] <= memory[-1] < 64.0
    assert "memory/device_peak_gib" not in events.Tags()["scalars"]  # trained on a CPU


def test_validation_views_are_shown_beside_the_truth(trained: Shown, events: EventAccumulator) -> None:
    assert events.Tags()["images"] == ["val/000", "val/001", "test/000", "test/001"]
    shown = events.Images("test/001")[-1]
    file = next((trained.folder / "exp/neus-demo").iterdir()) / "save/it60-test/001.png"
    assert (shown.step, shown.encoded_image_string) == (60, file.read_bytes())
    assert (shown.height, shown.width) == read_image(file).shape[:2]
    found = events.Images("val/001")
    assert [event.step for event in found] == [30, 60]
    picture = cv2.imdecode(np.frombuffer(found[-1].encoded_image_string, np.uint8), cv2.IMREAD_COLOR_RGB)
    written = next((trained.folder / "exp/neus-demo").iterdir()) / "save/it60-val/001.png"
    assert np.array_equal(picture, read_image(written))


def test_the_mesh_may_be_turned(events: EventAccumulator) -> None:
    vertices, faces, colors = (
        make_ndarray(events.Tensors(f"mesh_{kind}")[-1].tensor_proto)[0] for kind in ("VERTEX", "FACE", "COLOR")
    )
    assert events.SummaryMetadata("mesh_VERTEX").plugin_data.plugin_name == "mesh"
    assert np.linalg.norm(vertices, axis=1).mean() == pytest.approx(0.5, abs=0.1)  # the sphere, in the scene frame
    assert faces.min() == 0
    assert faces.max() == len(vertices) - 1
    assert colors.shape == vertices.shape
    assert colors.min() > 0
    assert colors.max() <= 255


def test_config_and_hyperparameters_are_kept(events: EventAccumulator) -> None:
    (text,) = events.Tensors("config/text_summary")
    assert b"max_steps: 60" in make_ndarray(text.tensor_proto).item()
    content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    hparams = HParamsPluginData.FromString(content).session_start_info.hparams
    assert hparams["trainer.max_steps"].number_value == 60
    assert hparams["model.geometry.xyz_encoding_config.otype"].string_value == "HashGrid"
    assert events.Scalars("hparam/psnr")[0].value == events.Scalars("test/psnr")[0].value


def test_the_line_of_the_mesh_names_all_files_that_belong_together() -> None:
    mesh = {"files": ["a.obj", "a.glb"], "beside": ["a.mtl", "a.png"], "lods": ["a-lod500.glb"]}
    lines = launch.summarise({"file": "save/metrics.json", "mesh": mesh}, 1.0, True).splitlines()
    assert lines[1] == f"mesh:    {Path('save/a.obj')}, a.glb, a.mtl, a.png, a-lod500.glb"
