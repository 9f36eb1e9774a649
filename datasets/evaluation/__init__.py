"""Reads what results are measured against: ground truth of DTU, pairs of images, and the cameras of a scene."""
