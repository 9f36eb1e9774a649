"""Folders of other programs: recognised by their files, from launch.py's readers and from prepare.py."""

import logging

import pytest
from scenes_on_disk import random_image, ring_of_cameras, write_colmap, write_dtu, write_transforms

from datasets.capture.other_cameras import notice_cameras
from datasets.datamodule import SceneData
from datasets.files.other_formats import OTHERS, OWN, recognise, told
from utils import registry
from utils.config import schema
from utils.errors import CaptureError, DataError
from utils.images import write_png

CAMERAS = ring_of_cameras(4)
IMAGES = [random_image(i, 3) for i in range(4)]
FOLDERS = {  # files with what they begin with -> the name of the format
    "Polycam": [{"keyframes/corrected_cameras/1.json": ""}, {"cameras/1.json": '{"t_00": 1.0}'}],
    "Record3D": [{"metadata": '{"h":1,"w":1,"K":[1]}', "rgbd/0.jpg": ""}, {"a.r3d": ""}, {"EXR_RGBD/metadata": "{}"}],
    "Agisoft Metashape": [{"cameras.xml": '<?xml?>\n<document version="1.5.0"><chunk>'}, {"cup.psx": ""}],
    "RealityScan or RealityCapture": [
        {"cup.csv": "#name,x,y,alt,heading"}, {"cup.rcproj": ""}, {"a.csv": "#cameras 24\n#name"},
    ],
    "OpenMVG": [{"sfm_data.json": '{"sfm_data_version": "0.3"}'}, {"matches/sfm_data.bin": ""}],
    "Meshroom": [{"cameras.sfm": "{}"}, {"cup.mg": "{}"}, {"MeshroomCache/a": ""}],
    "OpenDroneMap": [{"opensfm/reconstruction.json": "[]", "images/a.jpg": ""}],
    "OpenSfM": [{"reconstruction.json": '[{"cameras": {}}]'}],
    "Bundler": [{"bundle.out": "# Bundle file v0.3\n24 400"}],
    "OpenMVS": [{"scene.mvs": "", "images/a.jpg": ""}],
    "BlocksExchange": [{"block.xml": '<?xml version="1.0"?>\n<BlocksExchange version="3.2">'}],
    "LLFF": [{"poses_bounds.npy": "", "images_4/a.jpg": ""}],
    "RGB-D frames": [
        {"color/0.jpg": "", "pose/0.txt": "", "intrinsic/a.txt": ""}, {"results/0.jpg": "", "traj.txt": ""},
        {"frame-0.pose.txt": ""}, {"rgb.txt": "", "groundtruth.txt": ""}, {"wide.traj": ""},
        {"0.png.camera": ""}, {"train/pose/0.txt": "", "train/intrinsics/0.txt": ""},
    ],
    "Nerfies": [{"camera/0.json": "{}", "dataset.json": "{}"}],
    "a trained splatting": [{"point_cloud/iteration_7/point_cloud.ply": ""}, {"cfg_args": "", "cameras.json": "[]"}],
    "VisualSFM": [{"cup.nvm": "NVM_V3"}],
    "MVSNet without cams/": [{"pair.txt": "24"}],
    "BlendedMVS or MVSNet": [{"cams/00000000_cam.txt": "", "pair.txt": "24"}],
}  # fmt: skip
CASES = [(name, files) for name, several in FOLDERS.items() for files in several]
READERS = ("blender", "dtu", "bmvs", "colmap", "transforms", "mvsnet")


def write(root, files) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def load(root, name, **options):
    config = schema.parse(registry.find("dataset", name).target, {"root_dir": str(root), **options})
    return SceneData(config, True, 1, "reference").scene("train")


@pytest.mark.parametrize(("name", "files"), CASES)
def test_every_reader_and_prepare_name_the_program_and_the_way(tmp_path, name, files):
    write(tmp_path, files)
    found, file = recognise(tmp_path)
    assert found.name == name
    assert (tmp_path / file).exists()
    for reader in READERS:
        if reader != found.reader:
            with pytest.raises(DataError, match=f"dataset.name={reader}, got those of {name}") as error:
                load(tmp_path, reader)
            assert found.advice in str(error.value)
    with pytest.raises(CaptureError, match=f"got cameras of {name}.*leave prepare.py out.*find cameras anew"):
        notice_cameras(tmp_path)


def test_every_format_of_others_has_a_case():
    assert {form.name for form in OTHERS} <= set(FOLDERS)
    assert {form.reader for form in OWN} | {"bmvs"} == set(READERS)
    for form in (*OWN, *OTHERS):
        assert "dataset.name=" in form.advice
        assert not form.advice.endswith(".")


@pytest.mark.parametrize("depth", ["scan", "dense/0"])
def test_a_folder_too_high_leads_to_the_right_one(depth, tmp_path):
    write_colmap(tmp_path / depth, CAMERAS, IMAGES)
    with pytest.raises(DataError, match=f"Set dataset.root_dir={tmp_path / depth} and dataset.name=colmap"):
        load(tmp_path, "colmap")


@pytest.mark.parametrize(
    ("file", "advice"),
    [
        ("images/a.jpg", "python scripts/prepare.py {}/images OUT"),
        ("a.jpg", "python scripts/prepare.py {} OUT"),
        ("clip.mp4", "python scripts/prepare.py {}/clip.mp4 OUT"),
        ("scan.zip", "Unpack it"),
        ("database.db", "colmap mapper"),
    ],
)
def test_what_has_no_cameras_leads_to_finding_them(file, advice, tmp_path):
    write(tmp_path, {file: "SQLite format 3"})
    with pytest.raises(DataError, match=f"expected a COLMAP model.*There is.*{advice.format(tmp_path)}"):
        load(tmp_path, "colmap")
    if not file.endswith(".zip"):
        notice_cameras(tmp_path)  # prepare.py takes them


def test_rgb_folders_without_a_model_are_not_called_those_of_colmap(tmp_path):
    write(tmp_path, {"rgb/a.jpg": ""})
    with pytest.raises(DataError, match=r"expected a COLMAP model") as error:
        load(tmp_path, "colmap")
    assert "images_dir" not in str(error.value)


def test_our_own_layouts_lead_to_their_reader(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    write_colmap(tmp_path / "a", CAMERAS, IMAGES)
    write_transforms(tmp_path / "b", CAMERAS, IMAGES)
    write_dtu(tmp_path / "c")
    for folder, own, other in (("a", "colmap", "dtu"), ("b", "transforms", "colmap"), ("c", "dtu", "transforms")):
        load(tmp_path / folder, own, holdout=0)
        with pytest.raises(DataError, match=rf"Set dataset\.name={own}"):
            load(tmp_path / folder, other)


def test_a_fault_within_the_right_format_is_told_as_such(tmp_path):
    write_transforms(tmp_path, CAMERAS, IMAGES, fl_x="wide")
    write_colmap(tmp_path, CAMERAS, IMAGES)
    with pytest.raises(DataError, match="fl_x"):
        load(tmp_path, "transforms")
    (tmp_path / "transforms.json").rename(tmp_path / "mine.json")
    with pytest.raises(DataError, match="fl_x"):
        load(tmp_path, "transforms", file="mine.json")
    assert told(tmp_path / "nowhere", "colmap") is None


def test_photos_beside_other_cameras_are_prepared_and_that_is_said(tmp_path, caplog):
    write(tmp_path, {"cameras.xml": "<document><chunk>"})
    write_png(tmp_path / "a.png", IMAGES[0])
    with caplog.at_level(logging.WARNING):
        notice_cameras(tmp_path)
    assert "the cameras of Agisoft Metashape (cameras.xml) are not used" in caplog.text
