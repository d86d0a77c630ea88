"""Containers of the language and of `collections`."""

import collections

import truth


def hold():
    in_list = [bytes(1000) for _ in range(3000)]
    in_tuple = tuple(str(number) * 9 for number in range(20_000))
    in_dict = {number + 1000: bytes(500) for number in range(4000)}
    in_set = {"member %d" % number for number in range(20_000)}
    in_frozenset = frozenset(float(number) for number in range(40_000))
    in_deque = collections.deque(bytes(300) for _ in range(5000))
    in_ordered = collections.OrderedDict((str(number), [number] * 20) for number in range(5000))
    in_default = collections.defaultdict(list)
    for number in range(50_000):
        in_default[number % 500].append(float(number))
    in_nested = [{"rows": [(number, str(number)) for number in range(50)], "name": "n%d" % which} for which in range(400)]
    in_empty = [{} for _ in range(10_000)]
    truth.wait()


hold()
