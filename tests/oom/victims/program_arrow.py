"""A table is made, joined, grouped and sorted in Arrow."""
import numpy
import pyarrow
import pyarrow.compute

random = numpy.random.default_rng(1)
rows = 2_000_000
table = pyarrow.table(
    {
        "shop": random.integers(0, 300, rows),
        "amount": random.random(rows),
        "article": pyarrow.array(["article %d" % number for number in random.integers(0, 2000, rows)]),
    }
)
shops = pyarrow.table({"shop": numpy.arange(300), "town": ["town %d" % (number % 40) for number in range(300)]})
joined = table.join(shops, "shop")
by_town = joined.group_by(["town", "article"]).aggregate([("amount", "sum")])
ordered = joined.sort_by([("town", "ascending"), ("amount", "descending")])
dear = ordered.filter(pyarrow.compute.greater(ordered["amount"], 0.5))
print(by_town.num_rows, dear.num_rows)
