"""Stage `poses`: cameras from features, by COLMAP, and what is wrong with them."""
