"""The photos of a folder, and what lies there besides them: kinds that are not read, sub-folders, masks."""

import logging
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from datasets.assemble import list_images
from utils.errors import CaptureError
from utils.images import HEIF_SUFFIXES, SUFFIXES

log = logging.getLogger(__name__)
_RAW = "dng cr2 cr3 crw nef nrw arw srf sr2 raf orf rw2 pef srw x3f 3fr fff iiq rwl"
_OTHER = "heic heif hif avif jxl jp2 j2k jxr gif psd psb exr hdr tga ppm pgm pnm jfif jpe mpo insp"
_CLIPS = "mp4 mov m4v avi mkv webm mts m2ts 3gp mpg mpeg wmv insv 360"
_VIDEOS = {f".{name}" for name in _CLIPS.split()}
_PICTURES = {f".{name}" for name in f"{_RAW} {_OTHER}".split()} - {*SUFFIXES}
_HEIF_REMEDY = (
    "pip install pillow-heif, or convert them to JPEG (on a Mac: sips -s format jpeg *.HEIC --out DIR; elsewhere: "
    "magick mogrify -format jpg *.HEIC)"
)
_UNLOADED = (".icloud", ".crdownload", ".part", ".partial", ".download")  # what stands behind names meanwhile
_NO_PHOTOS = ("@", "__MACOSX", "#recycle")  # how folders begin that other programs keep beside photos
_REMEDY = "convert them to JPEG, with the settings of the other photos"


def list_photos(folder: Path) -> list[Path]:
    """The photos of a folder in natural order. Raises DataError for none, and CaptureError where there are some that
    are not read, or in sub-folders."""
    if folder.is_dir() and not any(_is_of(path, SUFFIXES) for path in folder.iterdir()):
        left = _left_out(folder, ())
        if left:
            raise CaptureError(f"{folder}: expected photos ({', '.join(SUFFIXES)}), got {'; '.join(left)}.")
    return list_images(folder)


def tell_left_out(source: Path, used: Collection[Path]) -> None:
    """Warns of files in a folder of photos that are left out. used: the sub-folders that are series or masks.

    Is silent of a folder that is refused by `list_photos`."""
    photos = {path.stem.casefold() for path in source.iterdir() if _is_of(path, SUFFIXES)}
    if not photos and not any(path.parent == source for path in used):
        return
    if left := _left_out(source, [path.resolve() for path in used]):
        log.warning("%s: left out: %s.", source, "; ".join(left))
    doubles = [path for path in source.iterdir() if _is_of(path, _PICTURES) and path.stem.casefold() in photos]
    doubles += [path for path in source.iterdir() if _is_of(path, _VIDEOS) and path.stem.casefold() in photos]
    if doubles:
        log.info("%s: not used: %s, beside photos of the same names, which are used", source, _kinds(doubles))


def _left_out(folder: Path, used: Collection[Path]) -> list[str]:
    """What lies in a folder besides its photos, each with what to do about it."""
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    photos = {path.stem.casefold() for path in entries if _is_of(path, SUFFIXES)}
    alone = [path for path in entries if _is_of(path, _PICTURES) and path.stem.casefold() not in photos]
    pictures = {path.stem.casefold() for path in alone} | photos  # a phone's live photo has a clip beside it
    clips = [path for path in entries if _is_of(path, _VIDEOS) and path.stem.casefold() not in pictures]
    heif = [path for path in alone if path.suffix.lower() in HEIF_SUFFIXES]
    others = [path for path in alone if path not in heif]
    found = [f"{_kinds(heif)}, which cannot be read: {_HEIF_REMEDY}"] if heif else []
    found += [f"{_kinds(others)}, which cannot be read: {_REMEDY}"] if others else []
    found += [f"{_kinds(clips)}: give a video as an INPUT of its own"] if clips else []
    unloaded = [path for path in folder.iterdir() if path.suffix.lower() in _UNLOADED]
    found += [f"{_kinds(unloaded)}: load these files, of which only the names are there, first"] if unloaded else []
    gone = [path for path in entries if path.suffix.lower() in SUFFIXES and not path.exists()]
    found += [f"{_kinds(gone)}: links to files that are not there, first {gone[0].name}"] if gone else []
    for path in entries:
        if path.is_dir() and path.resolve() not in used and not path.name.startswith(_NO_PHOTOS):
            found += _of_folder(path, bool(photos))
    return found


def _of_folder(path: Path, has_photos: bool) -> list[str]:
    """What a sub-folder that is not used holds; has_photos: whether there are photos beside it."""
    images = [file for file in path.rglob("*") if _is_of(file, {*SUFFIXES} | _PICTURES)]
    if not images:
        return []
    if "mask" in path.name.lower():
        return [f"the folder {path.name}: give --masks {path} if its {len(images)} images are the masks"]
    deepest = {file.parent for file in images}
    given = next(iter(deepest)) if len(deepest) == 1 else path
    beside = "put them beside the other photos if the object was not moved in between, or " if has_photos else ""
    return [f"{_kinds(images)} in the folder {path.name}: {beside}give {given} as INPUT"]


def _is_of(path: Path, suffixes: Collection[str]) -> bool:
    return path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()


def _kinds(paths: Iterable[Path]) -> str:
    """`13 .heic and 2 .dng`."""
    counts = Counter(path.suffix.lower() for path in paths)
    return " and ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
