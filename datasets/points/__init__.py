"""Points of a scene: those on its object, and those that COLMAP triangulates from its photographs."""
