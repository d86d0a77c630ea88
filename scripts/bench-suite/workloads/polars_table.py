"""Polars: reads Parquet, groups, joins and sorts; its memory comes from its own allocator in Rust."""

import polars as pl

from work import INPUTS, work


def analyse(times):
    rows = 0
    for _ in range(times):
        orders = pl.read_parquet(INPUTS / "orders.parquet")
        sums = orders.group_by("customer", "product").agg(pl.col("price").sum().alias("sum"), pl.len())
        joined = orders.join(sums, on=["customer", "product"]).sort("price", "customer")
        rows += joined.height + joined.select(pl.col("note").str.to_uppercase().n_unique()).item()
    return rows


work(analyse, 3)
