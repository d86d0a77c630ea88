"""PyArrow: reads Parquet, filters, groups and joins; its memory comes from its own allocator."""

import pyarrow.compute as pc
import pyarrow.parquet as pq

from work import INPUTS, work


def analyse(times):
    rows = 0
    for _ in range(times):
        table = pq.read_table(INPUTS / "orders.parquet")
        dear = table.filter(pc.greater(table["price"], 50.0))
        sums = dear.group_by(["customer", "product"]).aggregate([("price", "sum"), ("price", "count")])
        joined = dear.join(sums, keys=["customer", "product"])
        rows += joined.num_rows + pc.utf8_upper(dear["note"]).length()
    return rows


work(analyse, 2)
