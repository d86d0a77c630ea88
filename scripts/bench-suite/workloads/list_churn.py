"""Allocates and frees: lists that grow, are copied, sliced and dropped, while some stay."""

from work import work


def churn(turns):
    kept = [[] for _ in range(1000)]
    total = 0
    for i in range(turns):
        grown = []
        for j in range(20):
            grown.append((i, j))
        doubled = grown + grown[::-1]
        kept[i % 1000] = doubled[5:25]
        total += len(doubled)
    return total + sum(map(len, kept))


work(churn, 900_000)
