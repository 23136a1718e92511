"""Device configuration <-> the neutral types of ``twin.vocab.config``; a file per dialect."""
