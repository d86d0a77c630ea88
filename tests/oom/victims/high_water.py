"""Holds most in the middle, and at the end something else."""
kept = bytearray(60 << 20)  # KEPT
more = bytearray(30 << 20)  # MORE
del kept
last = bytearray(10 << 20)  # LAST
