"""Only calls: Fibonacci numbers by recursion."""

from work import work


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


work(fib, 35)
