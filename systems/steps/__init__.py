"""One training step: what is drawn, rendered, lost, optimised and read back."""
