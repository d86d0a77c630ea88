"""Holds machines in a list of a function, and results in a global dict, then runs out of memory or waits to be killed: `fails`, `waits`."""

import json
import sys
import time

MACHINES = 200
SPECTRA = 500_000
RESULTS = 60
# No source line has this text, and no file of the report may.
SECRET = "-".join(["plum", "jam", "seven"])
_results = {}


class Machine:
    def __init__(self, number):
        self.name = SECRET + str(number)
        self.spectra = bytearray(SECRET.encode() + b"x" * SPECTRA)  # SPECTRA


def main():
    for number in range(RESULTS):
        _results[SECRET + str(number)] = bytes(SPECTRA) + SECRET.encode()
    fleet = []
    for number in range(MACHINES):
        fleet.append(Machine(number))
    print(json.dumps({"fleet": MACHINES * SPECTRA, "_results": RESULTS * SPECTRA}), flush=True)
    if sys.argv[1] == "fails":
        fleet.append(bytearray(1 << 40))
    time.sleep(600)


main()
