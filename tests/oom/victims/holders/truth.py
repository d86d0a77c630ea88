"""What each variable of a function holds, computed exactly from inside: by shares, as an object with r references gives each 1/r of
its size and of all below it. Says so on stdout as JSON, then waits."""

import collections
import gc
import json
import sys
import time
import types
import weakref

NOT_FOLLOWED = (types.ModuleType, type, types.CodeType, weakref.ref, types.BuiltinFunctionType)
# Of what has native blocks that Python knows nothing of: their bytes, by the number of the object.
NATIVE = {}
COLLECTOR_HEADER = 32 if sys.version_info < (3, 8) else 16


def size(thing):
    return size_of_its_own(thing) + NATIVE.get(id(thing), 0)


def size_of_its_own(thing):
    kind = type(thing)
    module = kind.__module__ or ""
    if module.split(".")[0] == "pandas":
        # Its own answer is about all that it holds.
        return object.__sizeof__(thing) + COLLECTOR_HEADER
    if kind.__name__ == "mmap":
        return len(thing)
    return sys.getsizeof(thing)


def below(thing, module_dicts):
    """What an object refers to, each as often as it does."""
    if isinstance(thing, NOT_FOLLOWED):
        return []
    if isinstance(thing, types.FunctionType):
        return [part for part in (thing.__closure__, thing.__defaults__, thing.__kwdefaults__) if part] + [thing.__dict__]
    if isinstance(thing, types.FrameType) and is_running(thing):
        # Its variables belong to no object.
        return []
    name = type(thing).__name__
    if name == "ndarray":
        found = [] if thing.base is None else [thing.base]
        if thing.dtype == object and thing.base is None:
            found.extend(thing.ravel().tolist())
        return found
    if name == "memoryview":
        return [thing.obj]
    found = [part for part in gc.get_referents(thing) if id(part) not in module_dicts]
    if isinstance(thing, dict):
        # The collector does not ask for keys if all are `str`. An ordered dict has each twice.
        expected = (3 if isinstance(thing, collections.OrderedDict) else 2) * len(thing)
        if len(found) < expected:
            found.extend(dict.keys(thing))
    return found


def is_running(frame):
    running = sys._getframe()
    while running is not None and running is not frame:
        running = running.f_back
    return running is frame


class Graph:
    """All that is reached from the variables."""

    def __init__(self, variables, module_dicts):
        self.things = []
        self.places = {}
        self.edges = []
        for name in variables:
            self.add(variables[name])
        at = 0
        while at < len(self.things):
            self.edges.append([self.add(part) for part in below(self.things[at], module_dicts)])
            at += 1

    def add(self, thing):
        place = self.places.get(id(thing))
        if place is None:
            place = self.places[id(thing)] = len(self.things)
            self.things.append(thing)
        return place


def references(graph, roots):
    """How many references each object has: those that are known, and for what other objects may have too, those it says it has."""
    counts = [0] * len(graph.things)
    of_roots = collections.Counter(roots)
    for place in of_roots:
        counts[place] += of_roots[place]
    for parts in graph.edges:
        for place in parts:
            counts[place] += 1
    for place in range(len(counts)):
        if isinstance(graph.things[place], (int, str, float, bytes, type, type(None))):
            # One is the list's, one the argument's, and one the variables'.
            counts[place] = max(counts[place], sys.getrefcount(graph.things[place]) - 2 - of_roots[place])
    return counts


def shares(graph, counts, root, sizes):
    """What one root holds. Where there are cycles, what comes back goes round until nothing is left."""
    total = 0.0
    flows = {root: 1.0 / counts[root]}
    while flows:
        following = {}
        for place, flow in flows.items():
            total += flow * sizes[place]
            for part in graph.edges[place]:
                following[part] = following.get(part, 0.0) + flow / counts[part]
        flows = {place: flow for place, flow in following.items() if flow > 1e-7}
    return total


def compute(variables):
    module_dicts = {id(vars(module)) for module in list(sys.modules.values()) if isinstance(module, types.ModuleType)}
    graph = Graph(variables, module_dicts)
    roots = {name: graph.places[id(variables[name])] for name in variables}
    counts = references(graph, roots.values())
    sizes = [size(thing) for thing in graph.things]
    held = {name: shares(graph, counts, place, sizes) for name, place in roots.items()}
    return {"variables": held, "total": sum(sizes), "objects": len(sizes)}


def say_what_is_held(frame, names):
    """By the local variables of a frame and by these globals of its module."""
    variables = {name: frame.f_globals[name] for name in names}
    found = frame.f_locals
    variables.update(found)
    if isinstance(found, dict):
        # A copy, which would stay with the frame.
        found.clear()
    del found, frame
    print(json.dumps(compute(variables)), flush=True)


def wait(*names):
    """Called by a function that holds something; with the names of globals that do."""
    say_what_is_held(sys._getframe(1), names)
    gc.collect()
    print("ready", flush=True)
    time.sleep(600)
