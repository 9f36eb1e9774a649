"""What prepare.py was given: refused before anything slow is imported where it is not there, or has no effect."""

import re
from collections.abc import Sequence
from pathlib import Path
from zipfile import is_zipfile

from datasets.capture.frames.photo_files import list_photos
from datasets.capture.options import CaptureOptions
from datasets.capture.other_cameras import notice_cameras
from datasets.capture.series.splits import series_folders
from utils.errors import CaptureError, ConfigError
from utils.files import require_place
from utils.images import SUFFIXES
from utils.terminal.typed_paths import nearby

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".xz", ".bz2")
_LOOKED_AT = 4096  # bytes: a video has a zero among them
_VIDEOS_GIVE = 120  # frames, where --frames does not say how many at most


def require_source(source: Path) -> None:
    """Raises CaptureError where there is no such video or folder, or a single photo."""
    if not source.exists():
        raise CaptureError(f"{source}: no such file or folder.{nearby(source)} Give a video, or a folder of photos.")
    if source.is_file() and source.suffix.lower() in SUFFIXES:
        told = "the folder that it is in" if source.parent == Path() else source.parent
        raise CaptureError(f"{source}: expected a video or a folder of photos, got one photo. Give {told}.")
    if source.is_file() and (source.suffix.lower() in _ARCHIVES or is_zipfile(source)):
        raise CaptureError(
            f"{source}: expected a video or a folder of photos, got an archive. Unpack it, and give its folder."
        )
    if source.is_file() and _is_text(source):  # of which ffmpeg would make a video
        raise CaptureError(f"{source}: expected a video or a folder of photos, got a file of text. Give the video.")


def _is_text(path: Path) -> bool:
    with open(path, "rb") as file:
        begin = file.read(_LOOKED_AT)
    return bool(begin) and b"\0" not in begin and not any(byte < 32 and byte not in b"\t\n\v\f\r\x1b" for byte in begin)


def check_out(out: Path) -> None:
    """Raises ConfigError for an `out` that was meant as a setting, CaptureError or OutputError for one that can be no
    folder."""
    if re.match(r"\w+(\.\w+)*=", out.name) and not out.exists():
        raise ConfigError(
            f"{out}: expected the folder OUT last. Settings of the training go to launch.py, or to capture.py, which "
            f"does both."
        )
    if file := next((path for path in (out, *out.parents) if path.is_file()), None):
        raise CaptureError(f"{file}: expected a folder, or nothing yet, got a file. Give another OUT.")
    require_place(out, f"OUT {out}")


def require_photos(sources: Sequence[Path], out: Path) -> None:
    """Raises CaptureError or DataError for folders without photos, before anything slow is imported."""
    for source in sources:
        if source.is_dir() and not any(path.suffix.lower() in SUFFIXES for path in source.iterdir()):
            notice_cameras(source)
            if len(sources) > 1 or not series_folders(source, out):
                list_photos(source)


def frames_of_videos(given: int | None, sources: Sequence[Path]) -> int:
    """The most frames that a video gives. Raises ConfigError for a number where there is no video."""
    if given is not None and all(source.is_dir() for source in sources):
        raise ConfigError(
            f"--frames {given}: chooses frames of a video, but {sources[0]} is a folder of photos, which are all used. "
            f"Leave it out, or take photos out of the folder."
        )
    return _VIDEOS_GIVE if given is None else given


def check_options(options: CaptureOptions, sources: Sequence[Path], folders: Sequence[Path] = ()) -> None:
    """Raises ConfigError for options without effect. folders: those of the only source that are series."""
    if options.series == "auto":
        return
    told = None
    if len(sources) > 1:
        told = f"{len(sources)} INPUTs are given, each of them a series"
    elif options.is_video:
        told = f"{sources[0]} is a video, which is one series"
    elif folders:
        told = f"each of the {len(folders)} folders of photos in {sources[0]} is a series"
    if told is not None and not (options.is_video and options.series == "one" and len(sources) == 1):
        raise ConfigError(f"--series {options.series}: divides one folder of photos, but {told}. Leave it out.")


def check_stage(only: str | None, layouts: Sequence[str]) -> None:
    """Raises ConfigError for flags of layouts, such as --neus, that the only stage to run does not write."""
    if layouts and only not in (None, "dataset"):
        raise ConfigError(f"{layouts[0]}: is written by the stage dataset, but --only {only} runs. Leave one out.")
