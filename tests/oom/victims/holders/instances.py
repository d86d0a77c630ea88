"""Instances: attributes in a dict, in slots, in both, and in the tuple that a named tuple is."""

import collections
import dataclasses

import truth


class Plain:
    def __init__(self, number):
        self.number = number
        self.text = "text of %d" % number
        self.payload = bytes(400)
        self.rows = [float(number)] * 10


class Slotted:
    __slots__ = ("payload", "text", "unset")

    def __init__(self, number):
        self.payload = bytes(600)
        self.text = str(number) * 10


class Both(Slotted):
    def __init__(self, number):
        super().__init__(number)
        self.more = [bytes(50) for _ in range(3)]


class MyList(list):
    pass


class MyDict(dict):
    __slots__ = ("note",)


@dataclasses.dataclass
class Point:
    x: float
    y: float
    label: str


class Wide:
    pass


Pair = collections.namedtuple("Pair", "left right")


def wide(number):
    thing = Wide()
    for attribute in range(200):
        setattr(thing, "attribute_%d" % attribute, bytes(20 + number % 7))
    return thing


def listed(number):
    thing = MyList(bytes(100) for _ in range(5))
    thing.name = "list %d" % number
    return thing


def mapped(number):
    thing = MyDict({at: bytes(100) for at in range(5)})
    thing.note = "dict %d" % number
    return thing


class Replaced:
    def __init__(self, number):
        self.__dict__ = {"body": bytes(500), "number": number}


def hold():
    plain = [Plain(number) for number in range(3000)]
    slotted = [Slotted(number) for number in range(3000)]
    both = [Both(number) for number in range(1500)]
    points = [Point(number * 1.5, number * 2.5, ("p%d" % number) * 90) for number in range(5000)]
    wides = [wide(number) for number in range(100)]
    pairs = [Pair(bytes(100), str(number)) for number in range(4000)]
    lists = [listed(number) for number in range(1500)]
    dicts = [mapped(number) for number in range(1500)]
    replaced = [Replaced(number) for number in range(1500)]
    one = Plain(7)
    one.payload = bytes(2_000_000)
    truth.wait()


hold()
