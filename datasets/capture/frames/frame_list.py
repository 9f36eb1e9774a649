"""The list of frames, frames.json: where each frame comes from, its size, and how sharp it is."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Frame:
    """An image of frames/."""

    name: str
    source: str  # the photo's name, or the number of the frame in the video
    size: tuple[int, int]  # width, height
    sharpness: float
    blur: float
    lens: str = ""  # what tells the lens and zoom of a photo from those of others; empty: there is one alone


def write_frame_list(frames: Sequence[Frame], is_video: bool, folder: Path) -> None:
    """Writes frames.json to a folder."""
    content = {"video": is_video, "frames": [asdict(frame) for frame in frames]}
    (folder / "frames.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_frame_list(root: Path) -> tuple[list[Frame], bool]:
    """The frames of frames.json that are still in frames/, and whether they come from a video."""
    content = json.loads((root / "frames.json").read_text(encoding="utf-8"))
    frames = [Frame(**item | {"size": tuple(item["size"])}) for item in content["frames"]]
    return [frame for frame in frames if (root / "frames" / frame.name).is_file()], content["video"]
