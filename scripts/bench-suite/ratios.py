"""The statistics: the ratio of two medians, and how far the ratios of the single rounds lie from it."""

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """`value` is the ratio of the medians; `low` and `high` are the least and the greatest ratio within one round."""

    value: float
    low: float
    high: float


def ratio(watched, plain):
    """Both in the order of the rounds. None where there is nothing to compare or plain takes no time at all."""
    if len(watched) != len(plain):
        raise ValueError("a round has both or neither")
    if not plain or min(plain) <= 0:
        return None
    rounds = [one / other for one, other in zip(watched, plain)]
    return Ratio(median(watched) / median(plain), min(rounds), max(rounds))


def median_and_worst(ratios):
    """Of the ratios of a group of workloads; None for none."""
    values = [each.value for each in ratios if each]
    return (median(values), max(values)) if values else None
