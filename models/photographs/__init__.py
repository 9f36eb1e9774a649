"""What is learned of the photographs themselves: what their cameras do to colours, and where these stood."""
