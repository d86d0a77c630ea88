"""Fills the disk that its argument names when recording has begun, then comes to many new call sites, and ends well."""
import os
import sys

held = bytearray(30 << 20)  # HERE
filler = os.open(os.path.join(sys.argv[1], "filler"), os.O_CREAT | os.O_WRONLY)
try:
    while True:
        os.write(filler, b"x" * 512)
except OSError:
    print("full", flush=True)
kept = []
for number in range(20000):
    exec("def f%d():\n    kept.append(bytearray(2000 + %d))\nf%d()" % (number, number % 7, number))  # CALLER
print("end")
sys.exit(6)
