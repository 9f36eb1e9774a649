"""Stage `masks`: masks of the object, those of the user or automatic ones."""
