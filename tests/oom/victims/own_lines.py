"""Holds memory at lines of its own, and lets a library hold some for another."""

import json

kept = bytearray(20 << 20)  # OWN
text = json.dumps("x" * (10 << 20))  # LIBRARY
print(len(kept) + len(text))
