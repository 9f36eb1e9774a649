"""Benchmarks that anyone can run: `python -m benchmarks.ops`, `.train`, `.export`, and `.report` for the tables."""
