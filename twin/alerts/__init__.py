"""Alert rules: pure steps from state and forecasts to alert transitions."""
