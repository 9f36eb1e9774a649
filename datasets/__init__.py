"""Loaders: files of many layouts become one `Scene`; a sampler turns a scene into ray batches."""

import PIL.Image  # noqa: F401 before pycolmap, which corrupted the heap when it came first
