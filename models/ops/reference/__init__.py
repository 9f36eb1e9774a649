"""Plain PyTorch: the specification of every operation."""
