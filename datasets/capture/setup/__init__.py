"""Stage `setup`: whether the camera moved round the object, or the object turned before a still camera."""
