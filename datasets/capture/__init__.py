"""From a video or photographs to a dataset: frames, poses, region of interest, masks, layouts."""
