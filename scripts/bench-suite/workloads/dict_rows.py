"""Allocates and keeps: half a million rows, each a dict."""

from work import work


def rows(count):
    kept = []
    for i in range(count):
        kept.append({"id": i, "name": f"customer {i}", "balance": i * 0.5, "tags": [i, i + 1]})
    return len(kept)


work(rows, 500_000)
