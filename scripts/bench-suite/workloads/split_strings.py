"""Allocates: lines of text split into words that are counted."""

from collections import Counter

from work import INPUTS, work


def count(text, times):
    words = Counter()
    for _ in range(times):
        for line in text.splitlines():
            words.update(line.split())
    return len(words), words.total()


work(count, (INPUTS / "words.txt").read_text(), 6)
