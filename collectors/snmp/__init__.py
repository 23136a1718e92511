"""SNMP: the seam to the wire, the walk, the reading of profiles' tables, and the pure decoding of what came."""
