"""A table is made, joined, grouped and sorted in Polars."""
import numpy
import polars

random = numpy.random.default_rng(1)
rows = 2_000_000
table = polars.DataFrame(
    {
        "shop": random.integers(0, 300, rows),
        "amount": random.random(rows),
        "article": random.integers(0, 2000, rows),
    }
).with_columns(polars.format("article {}", "article").alias("name"))
shops = polars.DataFrame({"shop": numpy.arange(300), "town": ["town %d" % (number % 40) for number in range(300)]})
joined = table.join(shops, on="shop")
by_town = joined.group_by("town", "name").agg(polars.col("amount").sum())
ordered = joined.sort("town", "amount")
dear = ordered.filter(polars.col("amount") > 0.5)
print(by_town.height, dear.height)
