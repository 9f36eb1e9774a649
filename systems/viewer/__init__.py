"""A page in the browser that shows a model while it trains, or afterwards."""
