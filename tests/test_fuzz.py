"""Whatever is in a file, reading it gives something or one of our own errors, in bounded time and memory."""

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import NASTY, damaged, damaged_json
from PIL import Image
from scenes_on_disk import random_image, ring_of_cameras, write_blender, write_colmap, write_dtu, write_transforms

from datasets.blender import BlenderConfig, BlenderLoader
from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.dtu import DTUConfig, DTULoader
from datasets.region import Region, read_region, write_region
from datasets.transforms import TransformsConfig, TransformsLoader
from systems.configs import read_experiment
from systems.runs.checkpoints import read_checkpoint, write_checkpoint
from utils.errors import ConfigError, InputError
from utils.images import read_image
from utils.mesh.ply import read_vertices, write_points

FEW, MANY = 60, 3000
SECONDS, BYTES = 5.0, 2**31  # of the processor and of memory, for one file
LENS = ("k1", "k2", "p1", "camera_model", "is_fisheye", "w", "h", "fl_x", "fl_y", "cx", "camera_angle_x", "mask_path")
OTHER = ("applied_transform", "applied_scale", "ply_file_path", "frames", "file_path", "transform_matrix")


@pytest.fixture(params=[FEW, pytest.param(MANY, marks=pytest.mark.soak)])
def examples(request: pytest.FixtureRequest) -> int:
    """How many mutations are tried."""
    return request.param


@contextmanager
def bounded() -> Iterator[None]:
    """Fails if the block takes more than SECONDS; on Linux it gets no more than BYTES of new memory either."""
    started = time.process_time()
    with limited_memory() if sys.platform == "linux" else nullcontext(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    assert time.process_time() - started < SECONDS


@contextmanager
def limited_memory() -> Iterator[None]:
    """Refuses memory beyond what is in use and BYTES."""
    import resource  # POSIX only

    in_use = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + BYTES, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def fuzz(path: Path, strategy: st.SearchStrategy[bytes], read: Callable[[], object], examples: int) -> None:
    """Writes mutations of a file, and reads what it belongs to; fails for other errors than our own, and where none of
    the mutations was refused: then they would not reach the reader."""
    refused = []

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=examples <= FEW, print_blob=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def check(content: bytes) -> None:
        path.write_bytes(content)
        try:
            with bounded():
                read()
        except InputError as error:
            refused.append(error)

    original = path.read_bytes()
    read()  # what is mutated is good
    check()
    assert refused
    path.write_bytes(original)
    read()  # and it leaves nothing behind


@pytest.mark.parametrize("name", ["transforms_train.json", "train/r_0.png"])
def test_blender(tmp_path: Path, examples: int, name: str) -> None:
    write_blender(tmp_path, train=3, test=1)
    content = (tmp_path / name).read_bytes()
    strategy = damaged_json(content, LENS + OTHER) if name.endswith("json") else damaged(content)
    fuzz(tmp_path / name, strategy, lambda: BlenderLoader(BlenderConfig(str(tmp_path))).load("train"), examples)


def test_transforms(tmp_path: Path, examples: int) -> None:
    cameras = ring_of_cameras(4)
    write_points(np.random.default_rng(0).normal(size=(9, 3)), np.zeros((9, 3), np.uint8), tmp_path / "p.ply")
    images = [random_image(i, 3) for i in range(4)]
    write_transforms(tmp_path, cameras, images, ply_file_path="p.ply", k1=0.01)
    file = tmp_path / "transforms.json"
    load = lambda: TransformsLoader(TransformsConfig(str(tmp_path))).load("train")  # noqa: E731
    fuzz(file, damaged_json(file.read_bytes(), LENS + OTHER), load, examples)


def test_dtu_cameras(tmp_path: Path, examples: int) -> None:
    write_dtu(tmp_path, num=3)
    file = tmp_path / "cameras_sphere.npz"
    fuzz(file, damaged(file.read_bytes()), lambda: DTULoader(DTUConfig(str(tmp_path))).load("train"), examples)


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
@pytest.mark.parametrize("part", ["cameras", "images", "points3D", "rigs", "frames"])
def test_colmap(tmp_path: Path, examples: int, part: str, text: bool) -> None:
    points = np.random.default_rng(0).normal(size=(20, 3)) * 0.3
    write_colmap(tmp_path, ring_of_cameras(3), [random_image(i, 3) for i in range(3)], points=points, text=text)
    file = tmp_path / "sparse/0" / f"{part}.{'txt' if text else 'bin'}"
    load = lambda: ColmapLoader(ColmapConfig(str(tmp_path))).load("train")  # noqa: E731
    fuzz(file, damaged(file.read_bytes()), load, max(examples // 2, 10))


@pytest.mark.parametrize(
    ("format", "options"),
    [("PNG", {}), ("JPEG", {}), ("WEBP", {}), ("TIFF", {"compression": "tiff_lzw"}), ("BMP", {}), ("GIF", {})],
)
def test_images(tmp_path: Path, examples: int, format: str, options: dict) -> None:
    made = BytesIO()
    if format != "GIF":
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6  # turned
    Image.fromarray(random_image(0, 3)).save(made, format=format, **options)
    file = tmp_path / "image.png"  # whatever its name says
    Image.fromarray(random_image(1, 3)).save(file)
    fuzz(file, damaged(made.getvalue()), lambda: read_image(file), examples)


def test_points(tmp_path: Path, examples: int) -> None:
    file = tmp_path / "p.ply"
    write_points(np.random.default_rng(0).normal(size=(9, 3)), np.zeros((9, 3), np.uint8), file)
    fuzz(file, damaged(file.read_bytes()), lambda: read_vertices(file), examples)


def test_region(tmp_path: Path, examples: int) -> None:
    file = tmp_path / "region.json"
    write_region(Region(np.zeros(3), 1.0, np.array([0.0, 0.0, 1.0]), None, "by hand"), file)
    fuzz(file, damaged_json(file.read_bytes(), ("ground", "normal", "offset")), lambda: read_region(file), examples)


def test_checkpoints(tmp_path: Path, examples: int) -> None:
    file, content = tmp_path / "a.ckpt", {"state_dict": {"a": torch.arange(20.0)}, "global_step": 3, "more": [1, "x"]}
    torch.save(content, file)  # without a seal, so that torch itself reads what is damaged
    fuzz(file, damaged(file.read_bytes()), lambda: read_checkpoint(file), examples)
    write_checkpoint(content, file)
    fuzz(file, damaged(file.read_bytes()), lambda: read_checkpoint(file), examples)


PIECES = (
    *(b"${", b"${model.radius}", b"${seed}", b"&a [*a]", b"*a", b"!!python/object/apply:os.system [ls]", b"[", b"{"),
    *(b"- ", b": ", b"\n", b"\t", b"???", b"${mul:1e308,1e308}", b"${idiv:1,0}", b"1e999", b"null", b"defaults: [a]\n"),
)


def test_configs(tmp_path: Path, examples: int) -> None:
    file, text = tmp_path / "a.yaml", Path("configs/neus-demo.yaml").read_bytes()
    file.write_bytes(text)

    @st.composite
    def written(draw: st.DrawFn) -> bytes:
        content = draw(damaged(text)) if draw(st.booleans()) else text
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(content)))
            content = content[:at] + draw(st.sampled_from(PIECES)) + content[at:]
        return content

    fuzz(file, written(), lambda: read_experiment([file], []), examples // 2)


VALUES = (*map(json.dumps, NASTY), "${seed}", "${x}", "[1,", "{a: b", "!!python/name:os.system", "*a")
KEYS = (
    *("seed", "model", "model.radius", "system.loss.lambda_mask", "dataset.holdout", "export.formats", "trainer"),
    *(
        "model.geometry.xyz_encoding_config.n_levels",
        "a.b",
        "",
        ".",
        "model.",
        "[0]",
        "dataset[0]",
        "trainer.max_steps",
    ),
)


def test_overrides(tmp_path: Path, examples: int) -> None:
    file = tmp_path / "overrides"
    file.write_bytes(b"seed=1")
    override = st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES) | st.text(max_size=9)).map("=".join)

    def read() -> object:
        return read_experiment(["configs/neus-demo.yaml"], file.read_text(encoding="utf-8").split("\0"))

    several = st.lists(override, min_size=1, max_size=3)
    fuzz(file, several.map(lambda items: "\0".join(items).encode("utf-8", "replace")), read, examples // 2)


def test_anchors_that_unfold_without_end_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 1]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))]
    for text in ("\n".join(lines), "a: &a\n  b: *a\n"):
        (tmp_path / "a.yaml").write_text(text)
        with bounded(), pytest.raises(ConfigError, match="anchors"):
            read_experiment([tmp_path / "a.yaml"], [])
