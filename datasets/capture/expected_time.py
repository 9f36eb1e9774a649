"""How long a capture will take, told before the long stages begin."""

_SERIAL = 0.7  # seconds for an image that no second core shortens: mapping, bundle adjustment
_IMAGE, _PAIR = 1.3, 0.13  # core seconds for an image (features, masks) and for a pair that is matched
_PIXELS = 480_000  # of the images that were measured; features and matches grow with the area up to MAX_GROWTH
_MAX_GROWTH = 2.0
_ALL_PAIRS, _SOME_PAIRS = 80, 11  # images up to which photos are all paired; pairs of a frame of a video


def expected_seconds(sizes: list[tuple[int, int]], is_video: bool, cores: int) -> float:
    """Seconds from the images, of `sizes` (w, h) in pixels, to their masks on a machine with so many cores.

    Measured with 60 photographs and 120 frames of a video on two cores, and with 60 on eight; a guess elsewhere."""
    num = len(sizes)
    pairs = num * (num - 1) // 2 if not is_video and num <= _ALL_PAIRS else num * _SOME_PAIRS
    area = sum(width * height for width, height in sizes) / max(num, 1)
    growth = min(max(area / _PIXELS, 0.3), _MAX_GROWTH)
    return _SERIAL * num + growth * (_IMAGE * num + _PAIR * pairs) / max(cores, 1)


def time_in_words(seconds: float) -> str:
    """A rough time, rounded since it is an estimate: about 40 seconds, about 4 minutes."""
    tens, minutes = max(round(seconds / 10.0), 1) * 10, round(seconds / 60.0)
    return f"about {tens} seconds" if seconds < 90.0 else f"about {minutes} minutes"
