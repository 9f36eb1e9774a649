"""Loaders: files of many layouts become one `Scene`; a sampler turns a scene into ray batches."""
