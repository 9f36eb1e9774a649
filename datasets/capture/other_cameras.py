"""Folders that hold cameras already, given to prepare.py, which finds cameras of its own."""

import logging
from pathlib import Path

from datasets.files.other_formats import recognise
from utils.errors import CaptureError
from utils.images import SUFFIXES

log = logging.getLogger(__name__)


def notice_cameras(source: Path) -> None:
    """Warns of cameras of another program beside the photos of a folder, which are not used.

    Raises CaptureError where there are such cameras and no photos."""
    if (found := recognise(source)) is None:
        return
    form, file = found
    if any(path.suffix.lower() in SUFFIXES for path in source.iterdir()):
        log.warning(
            "%s: the cameras of %s (%s) are not used, new ones are found. To use them: %s",
            *(source, form.name, file, form.advice),
        )
        return
    raise CaptureError(
        f"{source}: expected a video or a folder of photos, got cameras of {form.name} ({file}). To use these cameras, "
        f"leave prepare.py out and train on the folder with launch.py. {form.advice}. To find cameras anew, give the "
        f"folder of the photos themselves."
    )
