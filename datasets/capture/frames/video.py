"""Reads videos frame by frame, upright, in memory that does not grow with their length."""

import logging
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from datasets.capture.frames.footage import Footage, read_tags
from datasets.capture.frames.video_colours import SrgbOf, find_white
from utils.errors import DataError

log = logging.getLogger(__name__)
_WHITE_FRAMES, _WHITE_SIDE = 16, 320  # how many key frames, and their pixels, tell how bright a video gets


def require_frame(path: Path) -> None:
    """Raises DataError for a file that is no video, or one without any frame; reads as far as the first one."""
    with closing(_decode(path, "scale=w=16:h=16", "gray", is_partial=True)) as frames:
        next(frames)


def read_footage(path: Path) -> Footage:
    """What a video says of its pixels, with the white of HLG and PQ told from frames all along the video."""
    footage = read_tags(path)
    if not footage.is_hdr:
        return footage
    frames = _decode(path, footage.filters(_WHITE_SIDE, "rgb48be"), "rgb48be", only_key_frames=True)
    with closing(frames):
        return replace(footage, white=find_white(footage, islice(frames, _WHITE_FRAMES)))


def read_video(
    path: Path | str,
    max_side: int,
    gray: bool = False,
    chosen: Sequence[int] | None = None,
    footage: Footage | None = None,
) -> Iterator[np.ndarray]:
    """Yields the frames in their order, uint8 sRGB (H, W, 3), or (H, W) if `gray`, at most `max_side` wide and high.

    chosen: ascending numbers of the frames to yield, from 0 on; None: all. footage: what `read_footage` says; None: it
    is asked. Applies the rotation that a phone stores in the file, makes pixels square and tone-maps HDR; each frame
    has its own size. Does not repeat frames to keep a steady rate. Raises DataError for a file that is missing, is no
    video, or has no frame."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file. Give the path of a video or of a folder of photos.")
    footage = footage or read_footage(path)
    srgb_of = SrgbOf(footage) if footage.is_converted else None
    formats = ("gray", "rgb24") if srgb_of is None else ("gray16be", "rgb48be")
    pixel_format = formats[0 if gray else 1]
    filters = footage.filters(max_side, pixel_format, None if chosen is None else _is_one_of(chosen))
    for frame in _decode(path, filters, pixel_format, is_partial=chosen is not None):
        yield frame if srgb_of is None else srgb_of(frame)


def _decode(
    path: Path, filters: str, pixel_format: str, is_partial: bool = False, only_key_frames: bool = False
) -> Iterator[np.ndarray]:
    """Yields the frames that leave ffmpeg's filters, (H, W) or (H, W, 3), uint8 or uint16. Raises DataError for none;
    warns of damage, unless only a part of the frames is wanted."""
    gray = pixel_format.startswith("gray")
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error"),
        *(("-skip_frame", "nokey") if only_key_frames else ()),
        *("-i", f"file:{path}", "-map", "0:V:0", "-vf", filters),
        *("-fps_mode", "passthrough"),  # phones record at a varying rate
        *("-f", "image2pipe", "-c:v", "pgm" if gray else "ppm", "-pix_fmt", pixel_format, "-"),
    ]
    count = 0
    with tempfile.TemporaryFile() as messages:
        with closing(_Decoder(command, messages)) as decoder:
            while (frame := decoder.next_frame(1 if gray else 3)) is not None:
                yield frame
                count += 1
        messages.seek(0)
        stderr = messages.read().decode(errors="replace").strip().splitlines()
        if count == 0:
            raise DataError(_no_frames(path, stderr))
        if stderr and not is_partial and not only_key_frames:
            log.warning("%s: is damaged (%s); using the %d frames that can be decoded", path, _last_line(stderr), count)


class _Decoder:
    """A process of ffmpeg that writes one image after the other, each with its own header, into a pipe."""

    def __init__(self, command: list[str], messages: object) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages)

    def next_frame(self, channels: int) -> np.ndarray | None:
        """(H, W) or (H, W, 3) uint8 or uint16; None at the end, also where the pipe breaks off within an image."""
        pipe = self._process.stdout
        header = [pipe.readline() for _ in range(3)]  # P6, width and height, 255 or 65535
        if not header[2]:
            return None
        width, height = (int(number) for number in header[1].split())
        kind = np.dtype(np.uint8 if int(header[2]) < 256 else ">u2")
        data = pipe.read(width * height * channels * kind.itemsize)
        if len(data) < width * height * channels * kind.itemsize:
            return None
        return np.frombuffer(data, kind).reshape((height, width) if channels == 1 else (height, width, channels))

    def close(self) -> None:
        """Ends the process, whether or not it has more frames."""
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()


def _is_one_of(numbers: Sequence[int]) -> str:
    """ffmpeg's expression for `n is one of numbers`, as a binary tree: a sum of thousands of terms nests too deep."""
    if len(numbers) == 1:
        return f"eq(n,{numbers[0]})"
    middle = len(numbers) // 2
    return f"if(lt(n,{numbers[middle]}),{_is_one_of(numbers[:middle])},{_is_one_of(numbers[middle:])})"


def _no_frames(path: Path, stderr: list[str]) -> str:
    """The message for a file that has no frame, from what ffmpeg printed."""
    if any("matches no streams" in line for line in stderr):
        return f"{path}: expected a video, got a file without a video stream. Give the video itself."
    if stderr:
        return (
            f"{path}: expected a video, got a file that cannot be decoded ({_last_line(stderr)}). Copy it again from "
            f"the phone, or convert it to mp4."
        )
    return f"{path}: the video holds no frames. Record it again, or copy it again from the phone."


def _last_line(stderr: list[str]) -> str:
    """The last line that ffmpeg printed, without the name of its component."""
    return stderr[-1].split("] ")[-1]
