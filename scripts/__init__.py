"""The command lines beside launch.py."""
