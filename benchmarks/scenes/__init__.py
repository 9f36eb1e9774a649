"""Generated photographs with a known truth: of a sphere for tests, and of shapes that are hard to reconstruct."""
