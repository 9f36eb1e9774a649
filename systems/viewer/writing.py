"""What visitors have written into the folder of a run: meshes, and videos along their camera paths."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from systems.export.exporter import PICTURED, export_mesh
from systems.viewer.pictures import render_picture
from systems.viewer.requests import CropBox, Mailbox, VideoRequest
from systems.viewer.surface import crop_to_box, level_from_slider, with_level
from systems.viewer.viewed import ViewedModel
from utils.errors import OutputError
from utils.terminal.eta import format_duration
from utils.video import write_video

TOLD_EVERY = 0.5  # seconds


class CancelledError(Exception):
    """A video was given up."""


def export(viewed: ViewedModel, mailbox: Mailbox) -> str:
    """Writes the mesh as launch.py does, in the chosen formats, at the level and within the box of the page; returns
    which files. Raises InputError."""
    config = viewed.experiment.export
    formats = config.formats if mailbox.formats is None else mailbox.formats
    if not formats:
        raise OutputError("no format is chosen: tick at least one.")
    level = level_from_slider(viewed.model, viewed.experiment, viewed.views, mailbox.mesh.level)
    stem = free_stem(viewed.save_dir, f"view-it{viewed.step()}", "-mc*")
    texture = config.texture if set(PICTURED) & set(formats) else "none"
    config = replace(config, texture=texture, formats=formats)
    experiment = with_level(replace(viewed.experiment, export=config), level)
    write = partial(export_mesh, crop=partial(crop_to_box, box=mailbox.box), shown=viewed.shown())
    report = write(viewed.model, experiment, stem, viewed.world_from_scene, viewed.views)
    return f"exported {', '.join(report['files'])}: {report['faces']:,} faces, in {stem.parent}"


def free_stem(folder: Path, stem: str, rest: str) -> Path:
    """A path in a folder that no file begins with: `stem`, else with -2, -3, ... behind it.

    rest: the pattern of what follows in the names of files."""
    number, name = 1, stem
    while any(folder.glob(name + rest)):
        number += 1
        name = f"{stem}-{number}"
    return folder / name


def write_path_video(
    viewed: ViewedModel,
    video: VideoRequest,
    box: CropBox | None,
    background: Tensor,
    tell: Callable[[str, float], None],
    keep_going: Callable[[], bool],
) -> str:
    """Renders a video into the folder of the run, and returns its name; a file is there only once it is complete.

    tell: called with what is done in words, and as a share in [0, 1], before some frames; keep_going: called several
    times a second, once it returns False the video is given up, which raises CancelledError."""
    stem = free_stem(viewed.save_dir, f"view-it{viewed.step()}-path", ".mp4")
    file, num = stem.with_name(f"{stem.name}.mp4"), len(video.cameras)
    begun = told = time.perf_counter()

    def frames() -> Iterator:
        nonlocal told
        for index, camera in enumerate(video.cameras):
            if index == 0 or time.perf_counter() - told > TOLD_EVERY:
                told = time.perf_counter()
                left = f", about {format_duration((told - begun) / index * (num - index))} left" if index else ""
                tell(f"render video: frame {index + 1} of {num}{left}", index / num)
            with torch.no_grad(), viewed.precision():
                args = viewed.scene, camera, video.picture, video.size, box, keep_going
                picture = render_picture(viewed.model, background, *args, shown=viewed.shown())
            if picture is None:
                raise CancelledError
            yield picture.image

    viewed.save_dir.mkdir(parents=True, exist_ok=True)
    write_video(file, frames(), video.fps)
    return f"rendered {file.name}: {num} frames of {video.size[0]} × {video.size[1]}, in {file.parent}"
