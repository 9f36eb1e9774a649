"""What a video file says of its pixels: their shape, their range, how colours are coded, and how it wants to be shown.

Code points are those of ITU-T H.273 under ffmpeg's names. What a file leaves open follows the custom of players: BT.601
up to 576 lines and BT.709 above."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

_TIMEOUT = 60  # seconds, to decode one frame
_SD_LINES = 576
_MATRICES = {  # H.273's names, and those of ffmpeg's filter scale
    **{"bt709": "bt709", "bt470bg": "bt601", "smpte170m": "bt601", "bt2020nc": "bt2020", "bt2020c": "bt2020"},
    **{"fcc": "fcc", "smpte240m": "smpte240m"},
}
WIDE = {"bt2020": "BT.2020", "smpte431": "P3", "smpte432": "Display P3"}  # much wider than sRGB; others nearly are it
HDR = {"arib-std-b67": "HLG", "smpte2084": "PQ"}
_AS_SRGB = (  # curves that players show as they are
    *("unknown", "bt709", "smpte170m", "smpte240m", "bt470m", "bt470bg", "iec61966-2-1", "iec61966-2-4", "bt1361e"),
    *("bt2020-10", "bt2020-12"),
)
_TAGS = re.compile(r"color_range:(\S+) color_space:(\S+) color_primaries:(\S+) color_trc:(\S+)")
_FRAME = re.compile(r"fmt:(\S+) .*?sar:(\d+)/(\d+) s:(\d+)x(\d+) i:(\S)")
_TURN = re.compile(r"display ?matrix: rotation of (-?[\d.]+)", re.IGNORECASE)
_DOLBY = re.compile(r"DOVI configuration record: .*?profile: (\d+).*?compatibility id: (\d+)")


@dataclass(frozen=True)
class Footage:
    """The tags of a video, of its first frame as it is shown; the defaults are those of plain 8-bit BT.709."""

    pixel_format: str = "yuv420p"
    range: str = "unknown"  # tv: 16 to 235, pc: 0 to 255
    matrix: str = "unknown"
    primaries: str = "unknown"
    transfer: str = "unknown"
    sample_aspect: float = 1.0  # width of a pixel by its height
    size: tuple[int, int] = (0, 0)  # pixels that are stored, upright
    interlaced: bool = False
    turned: float = 0.0  # degrees, which ffmpeg undoes
    white: float = 203.0  # cd/m² of HLG and PQ that become white
    streams: int = 1  # of video, of which the first is used
    dolby_profile: int = 0  # above 0: Dolby Vision whose pictures are of no use without its metadata

    @property
    def is_hdr(self) -> bool:
        """Whether its values are those of HLG or PQ (ITU-R BT.2100)."""
        return self.transfer in HDR

    @property
    def is_converted(self) -> bool:
        """Whether its frames need `video_colours.SrgbOf`, which takes 16 bits."""
        return self.is_hdr or self.primaries in WIDE or self.transfer == "linear"

    @property
    def is_yuv(self) -> bool:
        """Whether a matrix leads from its channels to red, green and blue."""
        return self.pixel_format.startswith(("yuv", "nv", "p0", "p2", "p4", "y2", "uyvy", "xv"))

    @property
    def used_matrix(self) -> str:
        """The matrix under its name in ffmpeg's filter scale: what the file says, or what players take."""
        if self.matrix in _MATRICES:
            return _MATRICES[self.matrix]
        if self.primaries == "bt2020":
            return "bt2020"
        return "bt601" if min(self.size) <= _SD_LINES else "bt709"

    def filters(self, max_side: int, pixel_format: str, select: str | None = None) -> str:
        """ffmpeg's filters to frames of square pixels, at most `max_side` wide and high, of a pixel format.

        select: an expression that is true for the frames that are wanted; None: all."""
        wide, high = max(self.sample_aspect, 1.0), max(1.0 / self.sample_aspect, 1.0)
        shrink = f"min(1,{max_side}/max(iw*{wide:.6f},ih*{high:.6f}))"
        scale = f"scale=w='max(1,round(iw*{wide:.6f}*{shrink}))':h='max(1,round(ih*{high:.6f}*{shrink}))':flags=area"
        if self.is_yuv:
            scale += f":in_color_matrix={self.used_matrix}"
        if self.range in ("tv", "pc"):
            scale += f":in_range={self.range}"
        chain = ["bwdif=mode=send_frame"] if self.interlaced else []
        chain += [f"select='{select}'"] if select is not None else []  # before the scaling, so that only these are
        return ",".join([*chain, scale, "setsar=1", f"format={pixel_format}"])

    def unusual(self) -> list[str]:
        """What differs from upright, progressive, limited-range BT.709 or BT.601 with square pixels, and what is done
        about it."""
        found = []
        if self.size == (0, 0):  # no video, as its decoder will say
            return found
        if self.streams > 1:
            found.append(f"{self.streams} videos in one file, of which the first is used")
        if self.is_hdr:
            found.append(f"HDR ({HDR[self.transfer]}), tone-mapped to sRGB with white at {self.white:.0f} cd/m²")
        elif self.primaries in WIDE or self.transfer == "linear":
            kind = WIDE.get(self.primaries, "linear light")
            found.append(f"colours of {kind}, converted to sRGB")
        if self.sample_aspect != 1.0:
            found.append(f"pixels {self.sample_aspect:.4g} times as wide as high, made square")
        if self.turned:
            found.append(f"stored turned by {abs(self.turned):.0f} degrees, shown upright")
        if self.interlaced:
            found.append("interlaced, whole frames computed from the half ones")
        if self.range == "pc" and self.is_yuv:
            found.append("full range of values")
        if self.is_yuv and self.matrix not in _MATRICES:
            found.append(f"no matrix of colours named, {self.used_matrix.upper().replace('BT', 'BT.')} taken")
        return found

    def doubts(self) -> list[str]:
        """What the file says and nothing here undoes."""
        found = []
        if self.transfer not in (*_AS_SRGB, *HDR, "linear"):
            found.append(
                f"its brightness is coded as {self.transfer}, which is not converted, so colours and contrast are not "
                f"those of the object. Export it as BT.709"
            )
        if self.dolby_profile:
            found.append(
                f"is Dolby Vision of profile {self.dolby_profile}, whose colours are not read: expect green and purple "
                f"images. Export it as HLG or without HDR"
            )
        return found


def read_tags(path: Path) -> Footage:
    """What ffmpeg says of a video and its first frame; defaults for a file that is none: the decoder will say so."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-v", "info", "-i", f"file:{path}"]
    command += ["-map", "0:V:0", "-vf", "showinfo", "-frames:v", "1", "-f", "null", "-"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return Footage()
    return parse_footage(done.stderr.decode(errors="replace"))


def parse_footage(text: str) -> Footage:
    """The footage of what ffmpeg prints of a file and of the filter showinfo."""
    frame, tags = _FRAME.search(text), _TAGS.search(text)
    if frame is None:
        return Footage(pixel_format="")  # no video: nothing is told of it
    pixel_format, across, down, width, height, field = frame.groups()
    aspect = int(across) / int(down) if int(across) and int(down) else 1.0
    value_range, matrix, primaries, transfer = tags.groups() if tags else ("unknown",) * 4
    if pixel_format.startswith("yuvj"):
        value_range = "pc"
    dump = text.split("Stream mapping:")[0]
    streams = [part for part in dump.split("Stream #0:")[1:] if "Video:" in part and "(attached pic)" not in part]
    turn = _TURN.search(streams[0]) if streams else None
    dolby = _DOLBY.search(streams[0]) if streams else None
    return Footage(
        pixel_format, value_range, matrix, primaries, transfer,
        sample_aspect=aspect if 0.1 <= aspect <= 10.0 else 1.0,
        size=(int(width), int(height)),
        interlaced=field in "TB",
        turned=float(turn.group(1)) if turn else 0.0,
        streams=max(1, len(streams)),
        dolby_profile=int(dolby.group(1)) if dolby and dolby.group(2) == "0" else 0,
    )  # fmt: skip
