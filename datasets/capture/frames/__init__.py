"""Stage `frames`: sharp, distinct pictures out of a video or photos."""
