"""YAML to a tree of frozen dataclasses: merged, resolved, checked."""
