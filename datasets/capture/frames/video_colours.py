"""From the colours of HDR and wide-gamut videos to 8-bit sRGB, as a screen of ordinary brightness shows them.

HLG and PQ follow ITU-R BT.2100-2, tables 4 and 5, for a display of 1000 cd/m²; diffuse white is 203 cd/m² (ITU-R
BT.2408), or less where a video has nothing that is as bright. Brighter light is rolled off by the curve of ITU-R
BT.2390-10, section 5.4, by the largest of red, green and blue, which keeps hues."""

from collections.abc import Iterable

import numpy as np

from datasets.capture.frames.footage import WIDE, Footage
from utils.images import linear_from_srgb, srgb_from_linear

_PEAK = 1000.0  # cd/m²: the brightest that is told apart
_LOWEST_WHITE = 100.0  # cd/m²: the white of SDR (ITU-R BT.2035)
_HEADROOM = 1.3  # white over the brightest thousandth of a dark video
_STEPS = 65535
_LUMINANCE_2020 = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
_CHROMATICITIES = {  # x, y of red, green, blue; white is D65 in all of them
    "bt709": (0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    "bt2020": (0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    "smpte431": (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    "smpte432": (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
_D65 = (0.3127, 0.3290)


def pq_eotf(values: np.ndarray) -> np.ndarray:
    """Light in cd/m², 0 to 10000, of PQ values in [0, 1] (BT.2100, table 4)."""
    power = np.power(values, 32.0 / 2523.0)
    return 10000.0 * np.power(
        np.maximum(power - 107.0 / 128.0, 0.0) / (2413.0 / 128.0 - 2392.0 / 128.0 * power), 16384.0 / 2610.0
    )


def pq_from_light(light: np.ndarray) -> np.ndarray:
    """PQ values in [0, 1] of light in cd/m²; the inverse of `pq_eotf`."""
    power = np.power(np.asarray(light) / 10000.0, 2610.0 / 16384.0)
    return np.power((107.0 / 128.0 + 2413.0 / 128.0 * power) / (1.0 + 2392.0 / 128.0 * power), 2523.0 / 32.0)


def hlg_scene_light(values: np.ndarray) -> np.ndarray:
    """Scene light in [0, 1] of HLG values in [0, 1]: the inverse OETF (BT.2100, table 5)."""
    a = 0.17883277
    b, c = 1.0 - 4.0 * a, 0.5 - a * np.log(4.0 * a)
    return np.where(values <= 0.5, np.square(values) / 3.0, (np.exp((values - c) / a) + b) / 12.0)


def roll_off(light: np.ndarray, white: float) -> np.ndarray:
    """Light up to `white` in cd/m², of light made for a display of 1000 cd/m²: BT.2390's Hermite spline, in PQ."""
    source, target = pq_from_light(_PEAK), pq_from_light(white)
    values, largest = np.minimum(pq_from_light(light) / source, 1.0), target / source
    knee = 1.5 * largest - 0.5
    t = np.maximum(values - knee, 0.0) / (1.0 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * largest
    return pq_eotf(np.where(values < knee, values, spline) * source)


def primaries_to_srgb(primaries: str) -> np.ndarray:
    """(3, 3) float32 from linear colours of these primaries to linear sRGB; BT.2020, P3 or, for other names, sRGB's."""
    matrices = [_to_xyz(_CHROMATICITIES.get(name, _CHROMATICITIES["bt709"])) for name in ("bt709", primaries)]
    return (np.linalg.inv(matrices[0]) @ matrices[1]).astype(np.float32)


def _to_xyz(chromaticities: tuple[float, ...]) -> np.ndarray:
    """(3, 3) from linear red, green and blue to XYZ, of which white has Y = 1 (SMPTE RP 177)."""
    columns = [(x / y, 1.0, (1.0 - x - y) / y) for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True)]
    white = np.array([_D65[0] / _D65[1], 1.0, (1.0 - sum(_D65)) / _D65[1]])
    matrix = np.array(columns).T
    return matrix * np.linalg.solve(matrix, white)


class _Light:
    """Linear light of 16-bit frames: in cd/m² for HDR, in [0, 1] for others; of sRGB's primaries, at least 0."""

    def __init__(self, footage: Footage) -> None:
        values = np.arange(_STEPS + 1) / _STEPS
        self._has_ootf = footage.transfer == "arib-std-b67"
        curves = {"smpte2084": pq_eotf, "arib-std-b67": hlg_scene_light, "linear": np.asarray}
        self._of_level = curves.get(footage.transfer, linear_from_srgb)(values).astype(np.float32)
        primaries = footage.primaries if footage.primaries in WIDE or not footage.is_hdr else "bt2020"
        self._matrix = primaries_to_srgb(primaries)

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """(H, W, 3) float32 of (H, W, 3) uint16."""
        light = self._of_level[frame]
        if self._has_ootf:  # BT.2100: the system gamma of a display of 1000 cd/m² is 1.2
            light *= (_PEAK * np.maximum(light @ _LUMINANCE_2020, 1e-9) ** 0.2)[..., None]
        return np.maximum(light @ self._matrix.T, 0.0)


def find_white(footage: Footage, frames: Iterable[np.ndarray]) -> float:
    """The light in cd/m² that becomes white in a video of HLG or PQ, from some of its frames (H, W, 3) uint16."""
    light_of = _Light(footage)
    brightest = [float(np.quantile(light_of(frame).max(axis=-1), 0.999)) for frame in frames]
    return float(np.clip(_HEADROOM * max(brightest, default=footage.white), _LOWEST_WHITE, footage.white))


class SrgbOf:
    """Turns 16-bit frames of a video into 8-bit sRGB."""

    def __init__(self, footage: Footage) -> None:
        self._light = _Light(footage)
        self._code = np.rint(255.0 * srgb_from_linear(np.arange(_STEPS + 1) / _STEPS)).astype(np.uint8)
        self._roots = self._gain = None
        if footage.is_hdr:
            light = np.square(np.linspace(0.0, np.sqrt(_PEAK), 4097)[1:])
            self._roots = np.sqrt(light).astype(np.float32)
            self._gain = (roll_off(light, footage.white) / (light * footage.white)).astype(np.float32)

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """(H, W, 3) or grey (H, W) uint8 of (H, W, 3) or (H, W) uint16 in the coding of the video."""
        if frame.ndim == 2:
            levels = np.arange(_STEPS + 1, dtype=np.uint16)
            return self._colours(np.repeat(levels[None, :, None], 3, axis=2))[0, :, 1][frame]
        return self._colours(frame)

    def _colours(self, frame: np.ndarray) -> np.ndarray:
        light = self._light(frame)
        if self._gain is not None:
            light *= np.interp(np.sqrt(light.max(axis=-1)), self._roots, self._gain).astype(np.float32)[..., None]
        return self._code[np.rint(np.minimum(light, 1.0) * _STEPS).astype(np.uint16)]
