"""Finds the processor and the oldest glibc that the binaries work with: the latter by the versions of the symbols that they need."""

import pathlib
import re
from typing import List, Tuple

# The oldest version of interest: the Rust compiler itself supports glibc from 2.17 on.
OLDEST = (2, 17)
# By `e_machine` of elf(5).
PROCESSORS = {62: "x86_64", 183: "aarch64"}


def platform(binaries: List[pathlib.Path]) -> str:
    """The platform tag that is right for all of these binaries (PEP 600)."""
    contents = [binary.read_bytes() for binary in binaries]
    newest = max([OLDEST] + [needs(binary) for binary in contents])
    [processor] = {processor_of(binary) for binary in contents}
    return "manylinux_{}_{}_{}".format(*newest, processor)


def processor_of(binary: bytes) -> str:
    """The processor that a binary is for, as in a tag."""
    machine = int.from_bytes(binary[18:20], "little")
    if binary[:5] != b"\x7fELF\x02" or machine not in PROCESSORS:
        raise SystemExit("fil-profile can be built for x86-64 and aarch64 alone")
    return PROCESSORS[machine]


def needs(binary: bytes) -> Tuple[int, int]:
    """The newest version of glibc that a binary names, usually in its list of needed versions.

    A name in a string constant would make the answer too new, which is the safe side.
    """
    found = re.findall(rb"GLIBC_(\d+)\.(\d+)(?=[.\0])", binary)
    return max([OLDEST] + [(int(major), int(minor)) for major, minor in found])
