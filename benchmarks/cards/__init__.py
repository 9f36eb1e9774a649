"""The Triton kernels compiled for cards that need not be there, and what a step should take on these."""
