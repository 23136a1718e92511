"""nettwin: the likeness of a network, and the questions one can ask of it.

Importing this package loads nothing heavy: rooms are imported where they are used.
"""

__version__ = "0.1.0"
