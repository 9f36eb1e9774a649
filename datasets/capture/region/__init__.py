"""Stage `region`: where the object is."""
