"""The optional backend tiny-cuda-nn."""
