"""The list of workloads: each with its name, its group and its file in `workloads/`."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "workloads"


@dataclass(frozen=True)
class Workload:
    name: str
    group: str
    file: str
    arguments: tuple = ()
    # Part of the quick form.
    quick: bool = False
    # Has several processes: the memory of all of them together is also measured.
    processes: bool = False

    @property
    def command(self):
        return [str(FOLDER / self.file), *self.arguments]

    @property
    def says_its_work(self):
        """Whether the program times its work itself. A program that does nothing has no work."""
        return self.file != "empty.py"

    @property
    def line(self):
        """The first line of the file, which describes the workload."""
        first = (FOLDER / self.file).read_text().splitlines()[0]
        return first.strip('"')


def own(name, group, *arguments, file=None, quick=False, processes=False):
    return Workload(name, group, file or f"{name}.py", arguments, quick, processes)


def pyperformance(name, loops, *options, quick=False):
    """A program of pyperformance, with as many loops as take about a second."""
    return Workload(
        f"pyperformance_{name}",
        "pyperformance",
        "pyperformance_program.py",
        (f"bm_{name}", str(loops), *options),
        quick,
    )


WORKLOADS = [
    own("empty", "start-up", quick=True),
    own("import_large", "start-up"),
    own("fib", "calls", quick=True),
    own("nbody", "calls"),
    own("json_text", "allocations", quick=True),
    own("dict_rows", "allocations", quick=True),
    own("split_strings", "allocations"),
    own("list_churn", "allocations"),
    pyperformance("deltablue", 150, quick=True),
    own("numpy_temporaries", "numpy and tables"),
    own("numpy_small", "numpy and tables", quick=True),
    own("pandas_table", "numpy and tables", quick=True),
    own("pandas_read_csv", "numpy and tables"),
    own("arrow_table", "numpy and tables"),
    own("polars_table", "numpy and tables"),
    own("sklearn_fit", "numpy and tables"),
    own("sqlite_memory", "libraries"),
    own("asyncio_tasks", "libraries"),
    own("native_pairs_1", "native", "1", file="native_pairs.py", quick=True),
    own("native_pairs_2", "native", "2", file="native_pairs.py"),
    own("native_pairs_8", "native", "8", file="native_pairs.py"),
    own("native_containers", "native"),
    own("process_pool", "processes", processes=True),
    own("fork_storm", "processes", quick=True, processes=True),
    own("exec_storm", "processes", processes=True),
    pyperformance("async_tree", 1, "none"),
    pyperformance("chaos", 12),
    pyperformance("deepcopy", 2500),
    pyperformance("float", 12),
    pyperformance("go", 7),
    pyperformance("hexiom", 120),
    pyperformance("pickle", 300, "--pure-python", "pickle"),
    pyperformance("pyflate", 2),
    pyperformance("raytrace", 3),
    pyperformance("regex_compile", 6),
    pyperformance("richards", 20),
    pyperformance("xml_etree", 12, "process"),
]
