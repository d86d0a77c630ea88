"""Sales are grouped, merged, and reshaped."""
import numpy
import pandas

random = numpy.random.default_rng(1)


def sales(rows):
    return pandas.DataFrame(
        {
            "shop": random.integers(0, 300, rows),
            "day": random.integers(0, 365, rows),
            "amount": random.random(rows),
            "article": ["article %d" % number for number in random.integers(0, 2000, rows)],
        }
    )


table = sales(300000)
shops = pandas.DataFrame({"shop": numpy.arange(300), "town": ["town %d" % (number % 40) for number in range(300)]})
merged = table.merge(shops, on="shop")
by_day = merged.groupby(["town", "day"]).amount.sum().reset_index()
pivot = by_day.pivot(index="day", columns="town", values="amount")
squares = numpy.outer(numpy.arange(1500.0), numpy.arange(1500.0))
ordered = merged.sort_values(["town", "day", "amount"])
rows = ordered.head(50000).to_dict("records")
print(len(rows), pivot.shape, squares.sum())
