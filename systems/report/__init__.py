"""What a run leaves for people to look at: one HTML file that opens from disk without a network."""
