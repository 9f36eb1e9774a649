"""Stage `poses`: camera poses by structure from motion with COLMAP, and a diagnosis where it fails."""
