"""What functions keep: closures, generators, coroutines, bound methods, partial functions, caches, and the frames of a traceback."""

import functools

import truth


def closed_over():
    kept = [bytes(1000) for _ in range(1500)]
    return lambda: kept


def generate():
    inside = [bytes(800) for _ in range(1500)]
    for item in inside:
        yield len(item)


async def wait_for_ever():
    inside = [bytes(700) for _ in range(1500)]
    await Never()
    return inside


class Never:
    def __await__(self):
        yield


class Owner:
    def __init__(self):
        self.data = [bytes(900) for _ in range(1500)]

    def method(self):
        return self.data


@functools.lru_cache(maxsize=None)
def cached(number):
    return bytes(500 + number % 10)


def with_default(argument=[bytes(600) for _ in range(1500)]):
    return argument


def with_attribute():
    pass


def fails():
    inside = [bytes(1100) for _ in range(1500)]
    raise ValueError(len(inside))


def caught():
    try:
        fails()
    except ValueError as error:
        return error


def hold():
    closure = closed_over()
    generator = generate()
    next(generator)
    coroutine = wait_for_ever()
    coroutine.send(None)
    method = Owner().method
    partial = functools.partial(print, [bytes(850) for _ in range(1500)])
    error = caught()
    for number in range(3000):
        cached(number)
    with_attribute.kept = [bytes(750) for _ in range(1500)]
    truth.wait("cached", "with_default", "with_attribute")


hold()
