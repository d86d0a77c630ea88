import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import curves

PRINTED = """
running 1 test
test heaps_of_any_size_take_the_same ... heaps: (MiB, bytes of a block)
| point | held MiB | cpu × | µs/sample | resident MiB | recording MiB | report s | report MiB |
| (10, 100) | 10 | 1.05 | 0.50 | 1.0 | 0.7 | 0.10 | 11 |
| (1000, 1048576) | 1000 | 1.00 | -0.10 | 2.0 | 0.7 | 0.10 | 11 |
| (100, 100) | 100 | 1.02 | 0.40 | 1.5 | 0.7 | 0.10 | 11 |
test heaps_of_any_size_take_the_same ... ok
"""


class Curves(unittest.TestCase):
    def test_the_points_of_a_curve_come_in_their_own_order(self):
        found = curves.curves(PRINTED.splitlines())
        self.assertEqual(list(found), ["heaps: (MiB, bytes of a block)"])
        points = found["heaps: (MiB, bytes of a block)"]
        self.assertEqual([point["point"] for point in points], ["(10, 100)", "(100, 100)", "(1000, 1048576)"])
        self.assertEqual(points[2]["resident MiB"], "2.0")

    def test_a_picture_has_every_value(self):
        picture = "\n".join(curves.svg(curves.curves(PRINTED.splitlines())))
        for words in ["heaps: (MiB, bytes of a block)", ">1.05<", ">-0.1<", ">1k×1.05M<"]:
            self.assertIn(words, picture)


if __name__ == "__main__":
    unittest.main()
