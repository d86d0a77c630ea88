"""How old a C library the binaries can be used with: by the versions of its symbols that they ask for."""

import pathlib
import re
from typing import List, Tuple

# The oldest that is told apart here: what the Rust compiler itself supports (glibc 2.17).
OLDEST = (2, 17)


def platform(binaries: List[pathlib.Path]) -> str:
    """The platform tag that is honest for all of them (PEP 600)."""
    newest = max([OLDEST] + [needs(binary.read_bytes()) for binary in binaries])
    return "manylinux_{}_{}_x86_64".format(*newest)


def needs(binary: bytes) -> Tuple[int, int]:
    """The newest version of glibc that is named anywhere in a binary: as a rule, in its list of version needs.

    A name in a string constant would make the answer too new, which is the safe side.
    """
    if binary[:5] != b"\x7fELF\x02" or binary[18:20] != b"\x3e\x00":
        raise SystemExit("fil-profile can be built for x86-64 alone")
    found = re.findall(rb"GLIBC_(\d+)\.(\d+)(?=[.\0])", binary)
    return max([OLDEST] + [(int(major), int(minor)) for major, minor in found])
