"""Has one list that grows until it cannot be moved to a larger place."""
import sys

more = [None] * 100000
numbers = []
while True:
    print(sys.getsizeof(numbers), flush=True)
    numbers.extend(more)  # HERE
