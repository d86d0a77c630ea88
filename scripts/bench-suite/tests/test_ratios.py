"""The statistics of numbers with a known result."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from ratios import Ratio, median_and_worst, ratio


class Ratios(unittest.TestCase):
    def test_the_ratio_is_that_of_the_medians_and_its_spread_that_of_the_rounds(self):
        # The third round is slow for both, so it does not widen the range.
        self.assertEqual(ratio([2.0, 4.0, 20.0], [1.0, 2.0, 10.0]), Ratio(2.0, 2.0, 2.0))
        self.assertEqual(ratio([3.0, 4.0, 5.0], [2.0, 2.0, 2.0]), Ratio(2.0, 1.5, 2.5))

    def test_an_outlier_moves_the_spread_and_not_the_ratio(self):
        self.assertEqual(ratio([1.0, 1.0, 1.0, 1.0, 9.0], [1.0] * 5), Ratio(1.0, 1.0, 9.0))

    def test_nothing_measured_or_no_time_at_all_is_no_ratio(self):
        self.assertIsNone(ratio([], []))
        self.assertIsNone(ratio([1.0], [0.0]))

    def test_rounds_that_are_not_pairs_are_an_error(self):
        with self.assertRaises(ValueError):
            ratio([1.0, 2.0], [1.0])

    def test_a_group_has_its_median_and_its_worst_and_leaves_out_what_failed(self):
        group = [Ratio(1.5, 1, 2), None, Ratio(1.1, 1, 2), Ratio(3.0, 2, 4)]
        self.assertEqual(median_and_worst(group), (1.5, 3.0))
        self.assertIsNone(median_and_worst([None]))


if __name__ == "__main__":
    unittest.main()
