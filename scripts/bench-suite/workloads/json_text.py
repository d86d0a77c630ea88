"""Allocates: JSON read and written, again and again."""

import json

from work import INPUTS, work


def convert(text, times):
    total = 0
    for _ in range(times):
        rows = json.loads(text)
        total += len(rows) + len(json.dumps(rows))
    return total


work(convert, (INPUTS / "rows.json").read_text(), 15)
