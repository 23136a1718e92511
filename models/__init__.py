"""Series -> forecasts."""
