"""Live state of devices -> column blocks of samples, and observed-state records. Read-only by construction."""
