"""Writes H.264 videos frame by frame, in the pixel format that every player and browser understands."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from utils.files import replacing


def write_video(path: Path | str, frames: Iterable[np.ndarray], fps: float) -> None:
    """Writes an mp4 (H.264, yuv420p) while the frames come in; the file appears at `path` once it is complete.

    frames: at least one, (H, W, 3) uint8, sRGB, all of the same size; odd sizes grow by repeating the last row or
    column, since yuv420p halves the resolution of the colours. Raises ValueError for frames that do not fit."""
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path}: a video needs at least one frame.")
    height, width = first.shape[:2]
    with replacing(path) as temporary:
        writer = imageio_ffmpeg.write_frames(
            temporary, (width + width % 2, height + height % 2), fps=fps, codec="libx264", quality=8,
            macro_block_size=2, ffmpeg_log_level="error",
            output_params=["-movflags", "+faststart", "-preset", "faster"],
        )  # fmt: skip
        try:
            writer.send(None)
            for number, frame in enumerate(chain([first], frames)):
                if frame.shape != first.shape or frame.dtype != np.uint8:
                    raise ValueError(
                        f"{path}: frame {number}: expected {first.shape} uint8, got {frame.shape} {frame.dtype}."
                    )
                padded = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
                writer.send(np.ascontiguousarray(padded))
        finally:
            writer.close()
