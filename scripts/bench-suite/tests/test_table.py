"""The tables and the plot show what was measured, and what was not."""

import sys
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import plot
import table


def cost(wall, work):
    return {
        "wall": wall, "user": wall, "max_rss": 10 << 20, "data_bytes": 1 << 20, "report": {"wall": 1.0, "max_rss": 30 << 20},
        "work": {"seconds": work, "user": work},
    }  # fmt: skip


def results():
    tools = {
        "plain": {"rounds": [cost(2.0, 1.0), cost(2.0, 1.0)]},
        "fil-profile": {"rounds": [cost(3.0, 1.25), cost(4.0, 1.75)]},
        "memray": {"failed": "took more than 60 s", "rounds": [cost(9.0, 9.0)]},
        "heaptrack": {"failed": "it is not installed"},
    }
    machine = dict.fromkeys(("cpu", "cores", "kernel", "glibc", "python", "fil_profile", "commit"), "x")
    return {
        "machine": {**machine, "memory_bytes": 1 << 30, "packages": {"memray": "1"}},
        "command": "scripts/bench",
        "rounds": 2,
        "workloads": {"fib": {"group": "calls", "tools": tools}},
        "killed": {"rows_until_killed": {"failed": "no cgroup can be made: Permission denied"}},
    }


def after(text, heading):
    """The last row of the table below a heading."""
    return text.split(f"## {heading}\n\n")[1].split("\n\n")[0].splitlines()[-1]


class Table(unittest.TestCase):
    def test_the_work_and_the_whole_are_told_apart(self):
        text = table.markdown(results())
        work, whole = "The work, wall time, ratio to plain", "The whole program, wall time, ratio to plain"
        self.assertEqual(after(text, work), "| fib | 1.50 (1.25–1.75) | failed | failed |")
        self.assertEqual(after(text, whole), "| fib | 1.75 (1.50–2.00) | failed | failed |")

    def test_the_report_is_added_to_the_whole(self):
        heading = "Wall time of program and report, ratio to plain, and MiB that they took"
        self.assertEqual(after(table.markdown(results()), heading), "| fib | 2.25, 30 | failed | failed |")

    def test_what_failed_is_named_with_its_reason_and_counts_in_no_group(self):
        text = table.markdown(results())
        self.assertIn("- fib, memray: took more than 60 s\n", text)
        self.assertIn("- fib, heaptrack: it is not installed", text)
        self.assertEqual(
            after(text, "The work, wall time: median / worst of each group"),
            "| calls | 1.50 / 1.50 | –, 1 failed | –, 1 failed |",
        )

    def test_the_memory_of_all_processes_has_a_table_where_it_was_watched(self):
        watched = results()
        heading = "All processes together, MiB"
        self.assertNotIn(heading, table.markdown(watched))
        watched["workloads"]["fib"]["tools"]["fil-profile"]["tree_pss"] = 5 << 20
        self.assertEqual(after(table.markdown(watched), heading), "| fib | – | 5.0 | failed | failed |")

    def test_where_no_cgroup_can_be_made_the_table_says_so(self):
        self.assertIn("Not measured: no cgroup can be made: Permission denied.", table.markdown(results()))

    def test_the_plot_is_xml_with_one_dot_for_each_tool_that_has_a_figure(self):
        for figure in plot.FIGURES:
            drawn = ElementTree.fromstring(plot.svg(results(), figure))
            dots = drawn.findall(".//{*}circle/{*}title")
            self.assertEqual([(dot.text or "").split()[0] for dot in dots], ["fil-profile"])


if __name__ == "__main__":
    unittest.main()
