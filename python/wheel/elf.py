"""Finds the oldest glibc that the binaries work with, by the versions of the symbols that they need."""

import pathlib
import re
from typing import List, Tuple

# The oldest version of interest: the Rust compiler itself supports glibc from 2.17 on.
OLDEST = (2, 17)


def platform(binaries: List[pathlib.Path]) -> str:
    """The platform tag that is right for all of these binaries (PEP 600)."""
    newest = max([OLDEST] + [needs(binary.read_bytes()) for binary in binaries])
    return "manylinux_{}_{}_x86_64".format(*newest)


def needs(binary: bytes) -> Tuple[int, int]:
    """The newest version of glibc that a binary names, usually in its list of needed versions.

    A name in a string constant would make the answer too new, which is the safe side.
    """
    if binary[:5] != b"\x7fELF\x02" or binary[18:20] != b"\x3e\x00":
        raise SystemExit("fil-profile can be built for x86-64 alone")
    found = re.findall(rb"GLIBC_(\d+)\.(\d+)(?=[.\0])", binary)
    return max([OLDEST] + [(int(major), int(minor)) for major, minor in found])
