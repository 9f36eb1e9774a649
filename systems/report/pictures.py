"""Pictures and videos of a run as data URIs: held-out views beside photograph and error, the video of the test pass."""

import io
import subprocess
import tempfile
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
from PIL import Image

from systems.report.results import RunResults
from utils.images import read_image, resize_area
from utils.visualise import taken_apart, to_uint8

FULL_SCALE = 0.25  # the brightest colour stands for this error: the mean over the channels, of colours in [0, 1]
_MAX_VIDEO_BYTES = 5 * 2**20  # a larger video is encoded again
_VIDEO_WIDTH = 1280


@dataclass(frozen=True)
class HeldOut:
    """A held-out view of a run."""

    name: str  # of its file in save/
    figures: dict[str, float]
    pictures: dict[str, np.ndarray]  # (H, W, 3) uint8 by what they show: truth, rgb, error, normal (of an SDF), depth


def choose_views(results: RunResults, most: int) -> list[int]:
    """Indices of at most `most` held-out views, evenly spread and including the one with the lowest PSNR."""
    views = results.metrics.get("held_out", {}).get("views", [])
    if not views:
        return []
    worst = min(range(len(views)), key=lambda index: views[index].get("psnr", 0.0))
    spread = np.linspace(0, len(views) - 1, min(most, len(views))).round().astype(int).tolist()
    return sorted({*(spread if worst in spread else spread[:-1]), worst})


def read_held_out(results: RunResults, index: int) -> HeldOut | None:
    """A held-out view of a run; None if there are fewer, or its file is gone. Raises DataError if it is damaged."""
    held_out = results.metrics.get("held_out", {"views": ()})
    if index >= len(held_out["views"]):
        return None
    view, shown = held_out["views"][index], held_out["panel"]
    path = results.folder.save / view["file"]
    if not path.is_file():
        return None
    parts = dict(zip(shown, taken_apart(read_image(path), len(shown)), strict=True))
    pictures = {"truth": parts["truth"], "rgb": parts["rgb"], "error": error_image(parts["truth"], parts["rgb"])}
    return HeldOut(view["file"], {name: value for name, value in view.items() if name != "file"}, pictures | parts)


def error_image(truth: np.ndarray, rendered: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the mean absolute difference of the channels, from black for 0 to bright for FULL_SCALE."""
    error = np.abs(truth.astype(np.float32) - rendered.astype(np.float32)).mean(axis=-1) / 255.0
    return cv2.applyColorMap(to_uint8(error / FULL_SCALE), cv2.COLORMAP_INFERNO)[..., ::-1]


def picture_uri(image: np.ndarray, width: int) -> str:
    """A picture (H, W, 3) uint8 as a data URI, scaled down to `width` pixels if it is wider."""
    if image.shape[1] > width:
        image = resize_area(image, (width, max(1, round(image.shape[0] * width / image.shape[1]))))
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(out, format="WEBP", quality=85, method=2)
    return data_uri("image/webp", out.getvalue())


def video_uri(path: Path) -> str:
    """A video as a data URI, encoded again at a smaller size if the file is large."""
    if path.stat().st_size <= _MAX_VIDEO_BYTES:
        return data_uri("video/mp4", path.read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.mp4"
        scale = f"scale='min({_VIDEO_WIDTH},iw)':-2"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-an", "-vf", scale]
        command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "30", "-maxrate", "2M", "-bufsize", "4M"]
        command += ["-fs", str(_MAX_VIDEO_BYTES), "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(small)]
        subprocess.run(command, check=True, capture_output=True)
        return data_uri("video/mp4", small.read_bytes())


def data_uri(kind: str, content: bytes) -> str:
    """Bytes of a MIME type as a data URI."""
    return f"data:{kind};base64,{b64encode(content).decode('ascii')}"
