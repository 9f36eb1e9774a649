"""Textures without light: what a surface is made of, apart from what shone on it in the photographs."""
