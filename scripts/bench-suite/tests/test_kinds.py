"""The right figures are taken from the reports of the tools."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import kinds


class Kinds(unittest.TestCase):
    def test_a_line_is_told_from_those_that_look_like_it(self):
        def is_at(file, line, caller=None):
            return kinds.is_at({"file": file, "line": line, "caller": caller}, "kinds.py:9")

        self.assertTrue(is_at("/a/kinds.py", 9))
        self.assertTrue(is_at("/lib/x.py", 3, "/a/kinds.py:9 (f)"))
        self.assertFalse(is_at("/a/kinds.py", 90))
        self.assertFalse(is_at("/a/other_kinds.py", 9, "/a/kinds.py:91 (f)"))

    def test_a_stack_of_fils_counts_once_for_each_line_in_it(self):
        with tempfile.TemporaryDirectory() as folder:
            profile = Path(folder, "now", "peak-memory.prof")
            profile.parent.mkdir()
            profile.write_text("/v.py:2 (f);/v.py:2 (f);/lib.py:7 (g) 100\n/v.py:22 (f) 5\n/a/v.py:2 (h) 9\n")
            self.assertEqual(kinds.by_fil(None, Path(folder), Path("/v.py")), {2: 100, 22: 5})

    def test_an_error_is_shown_where_it_is_worth_it(self):
        mib = kinds.MIB
        self.assertEqual(kinds.figure(None, mib), "–")
        self.assertEqual(kinds.figure(103 * mib, 100 * mib), "103.0")
        self.assertEqual(kinds.figure(20 * mib, 90 * mib), "20.0 **(-70.0)**")


if __name__ == "__main__":
    unittest.main()
