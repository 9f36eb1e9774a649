"""Readers of single files and of COLMAP, below the loaders."""
