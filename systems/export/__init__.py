"""A trained model becomes a mesh: extraction, cleaning, texture, files."""
