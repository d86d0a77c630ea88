"""What several hold, cycles, weak references, globals, and attributes of classes."""

import weakref

import truth

registry = {}
SETTINGS = [bytes(1000) for _ in range(1000)]


class Node:
    def __init__(self, parent=None):
        self.parent = parent
        self.children = []
        self.payload = bytes(800)
        if parent is not None:
            parent.children.append(self)


class Linked:
    def __init__(self):
        self.before = self.after = None
        self.payload = bytes(5000)


def tree():
    root = Node()
    for _ in range(12):
        child = Node(root)
        for _ in range(12):
            Node(child)
    return root


def ring():
    things = [Linked() for _ in range(6)]
    for at, thing in enumerate(things):
        thing.after = things[(at + 1) % len(things)]
        thing.before = things[at - 1]
    return things[0]


def hold():
    both = [bytes(1000) for _ in range(2000)]
    again = both
    part = both[:1000]
    items = [bytes(700) for _ in range(2000)]
    by_name = {"item %d" % at: item for at, item in enumerate(items)}
    for at in range(1000):
        registry[at] = items[at]
    forest = [tree() for _ in range(20)]
    rings = [ring() for _ in range(60)]
    alone = Node()
    alone.payload = bytes(900_000)
    weak = [weakref.ref(alone) for _ in range(100)]
    itself = [bytes(1_000_000)]
    itself.append(itself)
    truth.wait("registry", "SETTINGS")


hold()
