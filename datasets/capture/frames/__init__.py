"""Stage `frames`: sharp, distinct images out of a video or photos."""
