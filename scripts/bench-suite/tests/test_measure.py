"""A command is measured to its end, and no process of it remains."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from measure import Failed, bytes_on_disk, environment, run, work_line


class Measure(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def python(self, program, bound=60, **options):
        return run([sys.executable, "-c", program], self.folder, bound, environment(), **options)

    def test_the_memory_is_that_of_the_command_and_of_its_children(self):
        grows = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'len(b\"x\" * (200 << 20))'])"
        self.assertGreater(self.python(grows)["max_rss"], 200 << 20)
        self.assertLess(self.python("pass")["max_rss"], 50 << 20)

    def test_how_it_ended_is_told(self):
        self.assertEqual(self.python("raise SystemExit(7)")["status"], 7)
        self.assertEqual(self.python("import os; os.kill(os.getpid(), 9)")["status"], -9)

    def test_beyond_the_bound_it_is_ended_with_all_that_it_has_started(self):
        starts = "import os, time; open('pid', 'w').write(str(os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '1000'))); time.sleep(1000)"
        pid = self.folder / "pid"
        # On a busy machine, even the start of Python can take longer than the bound.
        for bound in (1, 5, 30):
            with self.assertRaises(Failed):
                self.python(starts, bound)
            if pid.exists() and pid.read_text():
                break
        child = int(pid.read_text())
        stat = Path("/proc", str(child), "stat")
        # On some machines nothing reaps an orphaned process, and it remains as a zombie.
        self.assertTrue(not stat.exists() or " Z " in stat.read_text())

    def test_the_last_line_of_json_is_what_the_program_says_of_its_work(self):
        output = self.folder / "stdout"
        output.write_text('a tool prints\n{"seconds": 1}\n{"seconds": 2, "result": 3}\n{"other": 1}\nand prints')
        self.assertEqual(work_line(output), {"seconds": 2, "result": 3})
        output.write_text("nothing")
        self.assertIsNone(work_line(output))

    def test_a_hole_in_a_file_takes_no_room(self):
        file = self.folder / "holes"
        with file.open("wb") as opened:
            opened.truncate(100 << 20)
        self.assertLess(bytes_on_disk([file]), 1 << 20)


if __name__ == "__main__":
    unittest.main()
