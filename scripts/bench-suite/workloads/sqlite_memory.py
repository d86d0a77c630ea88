"""SQLite: fills, indexes and queries a database in memory."""

import sqlite3

from work import work


def query(rows):
    base = sqlite3.connect(":memory:")
    base.execute("create table orders (id integer primary key, customer integer, note text, price real)")
    base.executemany(
        "insert into orders values (?, ?, ?, ?)",
        ((i, i * 7919 % 10_000, f"note {i}", i % 997 / 10) for i in range(rows)),
    )
    base.execute("create index by_customer on orders (customer)")
    found = 0
    for customer in range(10_000):
        found += len(base.execute("select id, note from orders where customer = ?", (customer,)).fetchall())
    sums = base.execute("select customer, sum(price) from orders group by customer order by 2 desc").fetchall()
    return found, len(sums)


work(query, 400_000)
