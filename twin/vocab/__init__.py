"""The nouns every room shares, and the one reader of YAML files. Imports none of the rooms, torch or pysnmp."""
