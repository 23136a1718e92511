"""NETCONF: sessions that only read, what to ask by a device's capabilities, and the pure decoding of replies."""

import logging

for _name in ("ncclient", "paramiko"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
