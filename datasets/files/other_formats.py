"""Recognises what other programs leave in a folder, and says in a sentence which reader takes what of it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_COLMAP = "read that with dataset.name=colmap"
_NERFSTUDIO = "read its transforms.json with dataset.name=transforms"
_WRITE = (
    "Write its poses into a transforms.json (docs/data.md has the keys and axes) and read that with "
    "dataset.name=transforms; depth is not read"
)
_FIND = "then set dataset.name=colmap dataset.root_dir=OUT"


@dataclass(frozen=True)
class Format:
    """A layout of files that a program writes."""

    name: str
    # patterns of files below the folder; those of one inner tuple occur together, and one tuple is enough. What follows
    # "::" must stand in the first 4 000 bytes of the file
    signs: tuple[tuple[str, ...], ...]
    advice: str  # what to export, or what to set
    reader: str | None = None  # the dataset.name that reads it


OWN = (
    Format(
        "a transforms.json",
        (("transforms.json",), ("transform.json",)),
        "Set dataset.name=transforms (and dataset.file, if the file has another name)",
        "transforms",
    ),
    Format("NeRF-Synthetic", (("transforms_*.json",),), "Set dataset.name=blender", "blender"),
    Format(
        "a COLMAP model",
        tuple((f"{folder}cameras.{kind}", f"{folder}images.{kind}") for folder in ("", "sparse/", "sparse/*/")
              for kind in ("bin", "txt")),
        "Set dataset.name=colmap",
        "colmap",
    ),
    Format("NeuS", (("image", "cameras_sphere.npz"), ("image", "cameras.npz")), "Set dataset.name=dtu", "dtu"),
    Format(
        "BlendedMVS or MVSNet",
        (("cams/*_cam.txt",), ("*/cams/*_cam.txt",)),
        "Set dataset.name=mvsnet and dataset.root_dir to the folder that holds cams/",
        "mvsnet",
    ),
)  # fmt: skip
OTHERS = (
    Format(
        "Polycam",
        (("*corrected_cameras/*.json",), ("keyframes/*cameras/*.json",), ("cameras/*.json::t_00",)),
        f"Convert it with nerfstudio's `ns-process-data polycam`, and {_NERFSTUDIO}",
    ),
    Format(
        "Record3D",
        (("metadata::\"k\"",), ("metadata", "rgbd"), ("EXR_RGBD",), ("*.r3d",)),
        f"Export EXR + RGB in Record3D, convert it with nerfstudio's `ns-process-data record3d`, and {_NERFSTUDIO}",
    ),
    Format(
        "Agisoft Metashape",
        (("*.psx",), ("*.psz",), ("*.xml::<chunk",), ("*.xml::agisoft",)),
        f"Export the cameras of Metashape as COLMAP with the undistorted images (Agisoft's script "
        f"export_for_gaussian_splatting.py does both), and {_COLMAP}; or convert cameras.xml with nerfstudio's "
        f"`ns-process-data metashape`, and {_NERFSTUDIO}",
    ),
    Format(
        "RealityScan or RealityCapture",
        (("*.rcproj",), ("*.rsproj",), ("*.csv::#name,x,y,alt",), ("*.csv::#cameras",), ("*.xmp::xcr:",)),
        f"Export the registration as COLMAP with undistorted images, and {_COLMAP}; or export internal and external "
        f"camera parameters as CSV, convert them with nerfstudio's `ns-process-data realitycapture`, and {_NERFSTUDIO}",
    ),
    Format(
        "OpenMVG",
        (("sfm_data*.json",), ("sfm_data*.bin",), ("*/sfm_data*.json",), ("*/sfm_data*.bin",)),
        f"Run `openMVG_main_openMVG2Colmap -i sfm_data.bin -o FOLDER/sparse`, put the images into FOLDER/images, and "
        f"{_COLMAP}",
    ),
    Format(
        "Meshroom",
        (("*.sfm",), ("*.mg",), ("MeshroomCache",), ("*/*.sfm",)),
        f"Add the node ExportColmap to the graph (or run `aliceVision_exportColmap -i cameras.sfm -o FOLDER`), and "
        f"{_COLMAP}",
    ),
    Format(
        "OpenDroneMap",
        (("opensfm/reconstruction.json",), ("odm_report",), ("odm_georeferencing",)),
        f"Run `opensfm undistort` and `opensfm export_colmap` on its folder opensfm/, and {_COLMAP}; or convert it "
        f"with nerfstudio's `ns-process-data odm`, and {_NERFSTUDIO}",
    ),
    Format(
        "OpenSfM",
        (("reconstruction*.json::cameras",), ("camera_models.json", "config.yaml")),
        f"Run `opensfm undistort` and `opensfm export_colmap` on the folder, and {_COLMAP}",
    ),
    Format(
        "Bundler",
        (("*.out::# Bundle file",), ("bundle/*.out",)),
        f"Export a COLMAP model with undistorted images from the program that wrote it, and {_COLMAP}",
    ),
    Format(
        "OpenMVS",
        (("*.mvs",),),
        f"Give the folder of the COLMAP model that it was made from, or write one with `InterfaceCOLMAP -i scene.mvs "
        f"-o FOLDER`, and {_COLMAP}",
    ),
    Format(
        "BlocksExchange",
        (("*.xml::<BlocksExchange",),),
        f"Export a COLMAP model with undistorted images from the program that wrote it, and {_COLMAP}",
    ),
    Format(
        "LLFF",
        (("poses_bounds.npy",),),
        f"Its poses come from COLMAP: put that model into sparse/0 beside images/, and {_COLMAP}; or find cameras anew "
        f"with `python scripts/prepare.py FOLDER/images OUT`, {_FIND}",
    ),
    Format(
        "RGB-D frames",
        (
            *(("pose/*.txt", "intrinsic*"), ("traj.txt",), ("*.pose.txt",), ("rgb.txt", "groundtruth.txt")),
            *(("*.traj",), ("*.png.camera",), ("*/pose/*.txt", "*/intrinsics/*.txt")),
        ),
        _WRITE,
    ),
    Format("Nerfies", (("camera/*.json", "dataset.json"),), f"Only scenes at rest can be read. {_WRITE}"),
    Format(
        "a trained splatting",
        (("point_cloud/iteration_*/point_cloud.ply",), ("cfg_args", "cameras.json")),
        f"Give the folder that it was trained on (cfg_args has it as source_path), and {_COLMAP}",
    ),
    Format("VisualSFM", (("*.nvm",),), f"Export a COLMAP model in its place, and {_COLMAP}"),
    Format(
        "MVSNet without cams/",
        (("pair.txt",),),
        "pair.txt tells neighbours only: add cams/ with a *_cam.txt for each image, and set dataset.name=mvsnet",
    ),
)  # fmt: skip
NO_CAMERAS = (  # {folder} and {file}: those of the file that tells it, as a command line takes them
    Format(
        "a COLMAP database without a model",
        (("*.db::SQLite format 3",),),
        f"Make a model of it with `colmap mapper`, in sparse/, or one with `python scripts/prepare.py FOLDER_OF_PHOTOS "
        f"OUT`, {_FIND}",
    ),
    Format(
        "a set of photographs without cameras",
        tuple((f"{folder}*.{kind}",) for folder in ("", "images/", "input/", "rgb/")
              for kind in ("jpg", "JPG", "jpeg", "png", "heic", "HEIC")),
        f"Find their cameras with `python scripts/prepare.py {{folder}} OUT`, {_FIND}",
    ),
    Format(
        "a video without cameras",
        tuple((f"*.{kind}",) for kind in ("mp4", "MP4", "mov", "MOV")),
        f"Find its cameras with `python scripts/prepare.py {{file}} OUT`, {_FIND}",
    ),
    Format("an archive", (("*.zip",), ("*.tar*",), ("*.7z",)), "Unpack it, and give its folder as dataset.root_dir"),
)  # fmt: skip


def recognise(folder: Path, known: tuple[Format, ...] = OWN + OTHERS) -> tuple[Format, str] | None:
    """The format of the files in a folder and the name of a file that tells it; None for an unknown or missing one."""
    if not folder.is_dir():
        return None
    for one in known:
        for signs in one.signs:
            found = [_find(folder, sign) for sign in signs]
            if all(found):
                return one, found[-1].relative_to(folder).as_posix()
    return None


def _find(folder: Path, sign: str) -> Path | None:
    """A file that matches a sign; see `Format.signs`."""
    pattern, _, text = sign.partition("::")
    for path in sorted(folder.glob(pattern)):
        if not text or (path.is_file() and text.lower() in _beginning(path).lower()):
            return path
    return None


def _beginning(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(4000).decode("utf-8", "replace")
    except OSError:
        return ""


def told(folder: Path, reader: str, files: Sequence[str] = ()) -> str | None:
    """What to say to a person who reads a folder with the dataset.name `reader`, if its files are of another format, or
    those of a folder within it.

    None where they have the signs of that reader, or none that are known, or where one of `files`, below the folder,
    which the reader was told to read, is there."""
    if _is_of(folder, reader, files):
        return None
    start = f"{folder}: expected files for dataset.name={reader}, got"
    if found := recognise(folder):
        form, file = found
        return f"{start} those of {form.name} ({file}). {form.advice}."
    within = (path for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern)) if path.is_dir())
    for path in within:
        if found := recognise(path, OWN):
            name = f" and dataset.name={found[0].reader}"
            return f"{start} those of {found[0].name} in a folder within it. Set dataset.root_dir={path}{name}."
    return None


def without_cameras(folder: Path, reader: str, files: Sequence[str] = ()) -> str | None:
    """A sentence on photographs, a video, or an archive, in a folder that nothing can read without cameras; see
    `told`."""
    if _is_of(folder, reader, files) or (found := recognise(folder, NO_CAMERAS)) is None:
        return None
    form, file = found
    path = folder / file
    advice = form.advice.format(folder=shlex.quote(str(path.parent)), file=shlex.quote(str(path)))
    return f"There is {form.name} ({file}). {advice}."


def _is_of(folder: Path, reader: str, files: Sequence[str]) -> bool:
    same = {"bmvs": "dtu"}.get(reader, reader)
    is_own = recognise(folder, tuple(one for one in OWN if one.reader == same)) is not None
    return is_own or any((folder / name).is_file() for name in files)
