"""Where the rooms meet: wiring, settings, and the doors for people and programs."""
