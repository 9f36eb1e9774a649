"""Shared building blocks at the bottom of the import order: nothing here knows a dataset, a model or a system."""
