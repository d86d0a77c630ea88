"""Calls and floats: bodies that attract each other, in lists of Python floats."""

import random

from work import work

STEP = 0.001


def pull(one, other):
    """Changes the speeds of both for one step."""
    dx, dy, dz = one[0] - other[0], one[1] - other[1], one[2] - other[2]
    strength = STEP / (dx * dx + dy * dy + dz * dz + 0.01) ** 1.5
    for axis, distance in enumerate((dx, dy, dz), start=3):
        one[axis] -= distance * other[6] * strength
        other[axis] += distance * one[6] * strength


def move(body):
    for axis in range(3):
        body[axis] += STEP * body[axis + 3]


def simulate(bodies, steps):
    for _ in range(steps):
        for i, one in enumerate(bodies):
            for other in bodies[i + 1 :]:
                pull(one, other)
        for body in bodies:
            move(body)
    return round(sum(body[0] for body in bodies), 9)


source = random.Random(7)
# Three coordinates of the position, three of the speed, and the mass.
work(simulate, [[source.uniform(-1, 1) for _ in range(6)] + [source.random()] for _ in range(8)], 50_000)
