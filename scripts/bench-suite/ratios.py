"""Statistics: the ratio of two medians, and the range of the ratios of the single rounds."""

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """`value` is the ratio of the medians; `low` and `high` are the least and the greatest ratio within one round."""

    value: float
    low: float
    high: float


def ratio(watched, plain):
    """The ratio of two series, each in the order of the rounds. None if there is nothing to compare, or plain takes no time at all."""
    if len(watched) != len(plain):
        raise ValueError("a round has both or neither")
    if not plain or min(plain) <= 0:
        return None
    rounds = [one / other for one, other in zip(watched, plain)]
    return Ratio(median(watched) / median(plain), min(rounds), max(rounds))


def median_and_worst(ratios):
    """The median and the worst of the ratios of a group of workloads; None if there are none."""
    values = [each.value for each in ratios if each]
    return (median(values), max(values)) if values else None
