"""Geometry of cameras and points, on arrays; opens no file."""
