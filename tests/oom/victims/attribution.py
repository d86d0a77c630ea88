"""Code of every kind allocates on a marked line of its own: one large block (`large`) or thousands of small (`small`)."""
import asyncio
import functools
import sys
import threading

TEXT = "x" * 100 + (" " + "x" * 100) * 20000
# Both are C all the way: the line that calls `make` is the one that allocates.
make = {"large": functools.partial(bytearray, 3 << 20), "small": TEXT.split}[sys.argv[1]]
kept = []


def generator():
    yield make()  # GENERATOR


def consumer():
    kept.extend(generator())  # CONSUMER


async def inner():
    await asyncio.sleep(0)
    return make()  # COROUTINE


async def outer():
    kept.append(await inner())  # AWAITS


async def asynchronous_generator():
    yield make()  # ASYNC_GENERATOR


async def asynchronous_loop():
    async for block in asynchronous_generator():
        kept.append(block)


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)  # WRAPPER

    return wrapper


@decorated
def decorated_function():
    return make()  # DECORATED


def class_body():
    class Holder:
        block = make()  # CLASS_BODY

    kept.append(Holder)


class Object:
    def __init__(self):
        self.block = make()  # INIT

    @property
    def attribute(self):
        return make()  # PROPERTY

    def __getattr__(self, name):
        return make()  # GETATTR

    def __enter__(self):
        kept.append(make())  # ENTER

    def __exit__(self, *exception):
        kept.append(make())  # EXIT

    def __lt__(self, other):
        kept.append(make())  # LESS
        return False

    def __del__(self):
        kept.append(make())  # DEL


class Meta(type):
    def __call__(cls):
        return make()  # META


class Made(metaclass=Meta):
    pass


def key(item):
    kept.append(make())  # KEY
    return item


def mapped(item):
    return make()  # MAP


def reduced(left, right):
    return make()  # REDUCE


@functools.lru_cache(maxsize=None)
def cached():
    return make()  # CACHED


def raises():
    try:
        raise ValueError
    except ValueError:
        kept.append(make())  # EXCEPT
    finally:
        kept.append(make())  # FINALLY


def closure():
    def inside():
        return make()  # CLOSURE

    return inside


def in_thread():
    kept.append(make())  # THREAD


def recursion(levels):
    if levels:
        return recursion(levels - 1)
    return make()  # RECURSION


def größe():
    return make()  # NON_ASCII


def many_lines_later():
    a = 1












































































































































































































































































































    return make(), a  # LATER


def delegates():
    yield from generator_below()


def generator_below():
    yield make()  # YIELD_FROM


def thrown_into():
    try:
        yield
    except ValueError:
        yield make()  # THROW


def main():
    consumer()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(outer())
    loop.run_until_complete(asynchronous_loop())
    loop.close()
    kept.append(decorated_function())
    kept.append((lambda: make())())  # LAMBDA
    class_body()
    thing = Object()
    kept.append(thing.attribute)
    kept.append(thing.missing)
    with thing:
        pass
    thing < thing  # noqa: B015
    kept.append(thing.block)
    del thing
    kept.append(Made())
    sorted([1], key=key)  # SORTS
    kept.extend(map(mapped, [1]))
    kept.append(functools.reduce(reduced, [1, 2]))
    kept.append(cached())
    kept.append([make() for _ in range(1)])  # COMPREHENSION
    kept.append({n: make() for n in range(1)})  # DICT_COMPREHENSION
    kept.extend(make() for _ in range(1))  # GENERATOR_EXPRESSION
    raises()
    kept.append(closure()())
    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    kept.append(recursion(100))
    kept.append(größe())
    kept.append(many_lines_later())
    kept.extend(delegates())
    suspended = thrown_into()
    next(suspended)
    kept.append(suspended.throw(ValueError))
    exec(compile("\n\nkept.append(make())\n", "<made up>", "exec"))
    exec("def f():\n    return make()\nkept.append(f())")
    kept.append(eval("make()"))


main()
block = make()
print(sys.getsizeof(block) + (sum(map(sys.getsizeof, block)) if isinstance(block, list) else 0))
