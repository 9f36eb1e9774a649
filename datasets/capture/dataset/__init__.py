"""Stage `dataset`: the layouts that loaders read."""
