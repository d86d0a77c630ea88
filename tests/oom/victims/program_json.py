"""Orders are made, written as JSON, read again, and sorted by customer."""
import json
import random

random.seed(1)


def make(count):
    orders = []
    for number in range(count):
        items = [{"name": "item %d" % random.randrange(5000), "price": random.random()} for _ in range(random.randrange(1, 4))]
        orders.append({"number": number, "customer": "customer %d" % (number % 999), "items": items})
    return orders


def write(orders):
    return [json.dumps(order, indent=1) for order in orders]


def read(lines):
    return [json.loads(line) for line in lines]


def by_customer(orders):
    customers = {}
    for order in orders:
        customers.setdefault(order["customer"], []).append((order["number"], dict(order)))
    return customers


def totals(orders):
    return {order["number"]: sum(item["price"] for item in order["items"]) for order in orders}


orders = make(30000)
lines = write(orders)
again = read(lines)
customers = by_customer(again)
sums = totals(again)
report = "\n".join("%d: %f" % pair for pair in sums.items())
everything = json.dumps(customers)
print(len(report), len(everything))
