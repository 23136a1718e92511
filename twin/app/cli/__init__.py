"""The command ``nettwin``: a skin over the same functions that programs use. Put together in main.py."""
