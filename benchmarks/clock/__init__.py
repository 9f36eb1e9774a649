"""The whole clock: from the command to its last line."""
