"""Arrays of numpy: with data of their own, views of others, and of objects."""

import numpy

import truth


def hold():
    one = numpy.ones(400_000)
    many = [numpy.zeros((100, 20)) for _ in range(200)]
    small = [numpy.arange(4) for _ in range(5000)]
    view = numpy.ones((1000, 300))[::2, 5:]
    two_views = numpy.ones(250_000)
    first, second = two_views[:10], two_views[10:]
    del two_views
    turned = numpy.ones((500, 400), order="F").T
    objects = numpy.array([str(number) * 5 for number in range(20_000)], dtype=object)
    over_bytes = numpy.frombuffer(bytearray(1_500_000), dtype="uint8")
    records = numpy.zeros(30_000, dtype=[("a", "f8"), ("b", "i4"), ("c", "S20")])
    fleet = [{"spectrum": numpy.ones(1000), "rows": [float(row) for row in range(20)]} for _ in range(200)]
    truth.wait()


hold()
