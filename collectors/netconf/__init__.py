"""NETCONF: the session (read operations only), filters, and the pure decoding of replies."""
