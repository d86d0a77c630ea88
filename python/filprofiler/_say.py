"""Writes text for a terminal, a log or a notebook. Names come from the program and from file systems, and can contain any character."""

import sys
from typing import List, Tuple

# Every line of fil-profile on stderr begins with this.
PREFIX = "=fil-profile= "

# Characters that are invisible, control a terminal, or change the order of the text around them: the same as in `is_hidden` of the crate
# `recording`.
HIDDEN: List[Tuple[int, int]] = [
    (0x00, 0x1F),
    (0x7F, 0x9F),
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x61C, 0x61C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    # Surrogates: Python uses them for bytes of a path that are not UTF-8.
    (0xD800, 0xDFFF),
    (0xFDD0, 0xFDEF),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x13430, 0x1343F),
    (0x16FE4, 0x16FE4),
    (0x1BCA0, 0x1BCA3),
    (0x1D159, 0x1D159),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
]
SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def is_hidden(character: str) -> bool:
    code = ord(character)
    return code & 0xFFFF in (0xFFFE, 0xFFFF) or any(first <= code <= last for first, last in HIDDEN)


def printable(text: object) -> str:
    """The text as one line, with hidden characters escaped, as in ``\\u{1b}``."""
    return "".join(_shown(character) if is_hidden(character) else character for character in str(text))


def say(text: object) -> None:
    """Writes one line to stderr, with the prefix."""
    sys.stderr.write("{}{}\n".format(PREFIX, printable(text)))


def _shown(character: str) -> str:
    return SHORT.get(character) or "\\u{{{:x}}}".format(ord(character))
