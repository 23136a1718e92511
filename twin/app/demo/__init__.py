"""The main job end to end: real routers, a forecast, a change tried on the twin and then made for real."""
