"""pandas: groupby, merge, sort and pivot of a table of a million rows."""

import pandas as pd

from work import INPUTS, work


def analyse(orders):
    people = pd.DataFrame({"customer": range(20_000), "region": [i % 50 for i in range(20_000)]})
    total = 0.0
    for _ in range(3):
        joined = orders.merge(people, on="customer")
        sums = joined.groupby(["region", "product"])["price"].agg(["sum", "mean", "max"])
        pivot = joined.pivot_table(index="region", columns="product", values="price", aggfunc="sum")
        ordered = joined.sort_values(["price", "customer"])
        total += float(sums["sum"].iloc[0] + pivot.iloc[0, 0] + ordered["price"].iloc[-1])
    return round(total, 3)


work(analyse, pd.read_parquet(INPUTS / "orders.parquet"))
