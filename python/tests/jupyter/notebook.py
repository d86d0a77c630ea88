"""Executes a notebook by `jupyter nbconvert --execute`, with the Fil kernel and without. Run in an empty folder."""

import json
import os
import subprocess
import sys

CELLS = [
    "def load(count):\n    return [bytes(1000) for _ in range(count)]",
    "%%filprofile\nkept = load(20000)\nblock = bytearray(30_000_000)\nlen(kept)",
    "print(len(kept), _)",
    "for _again in range(100):\n    get_ipython().run_cell_magic('filprofile', 'again', 'some = load(2000); 7')",
    "%%filprofile\nwide = [0] * 10_000_000\n1 / 0",
    "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1_500_000_000,) * 2)\nmore = []\ndef grow():\n"
    "    while True:\n        more.append(bytearray(200_000_000))\ngrow()",
    "len(more) > 0",
]


def execute(name, kernel, cells):
    made = {
        "cells": [
            {"cell_type": "code", "source": cell, "metadata": {}, "outputs": [], "execution_count": None, "id": str(number)}
            for number, cell in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    with open(name, "w") as file:
        json.dump(made, file)
    convert = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--allow-errors", "--execute", "--inplace", name]
    subprocess.run(convert, check=True, stderr=subprocess.PIPE)
    with open(name) as file:
        return [cell["outputs"] for cell in json.load(file)["cells"]]


def text(output):
    return "".join(output.get("data", {}).get("text/plain", output.get("text", "")))


def has_graph(output):
    return "<iframe" in "".join(output.get("data", {}).get("text/html", ""))


def main():
    defined, profiled, printed, again, failed, grown, after = execute("fil.ipynb", "filprofile", CELLS)
    assert defined == []
    assert has_graph(profiled[0]) and text(profiled[0]).startswith("Peak memory of the cell: 4"), profiled[0]
    assert text(profiled[1]) == "20000" and profiled[1]["execution_count"] == 2
    assert text(printed[0]) == "20000 20000\n"
    assert len(again) == 100 and all(has_graph(output) for output in again)
    assert "In [1]:2 (" in text(again[99]), text(again[99])
    assert has_graph(failed[0]) and "In [5]:2 (<module>)" in text(failed[0]), text(failed[0])
    assert failed[1]["ename"] == "ZeroDivisionError"
    assert [output.get("ename") for output in grown if output["output_type"] == "error"] == ["MemoryError"]
    told = [output for output in grown if has_graph(output)]
    assert len(told) == 1 and "Memory when it ran out" in text(told[0]) and "In [6]:6 (grow)" in text(told[0]), grown
    assert text(after[0]) == "True"
    page = text(told[0]).splitlines()[-1]
    assert os.path.exists(page), page
    folder = [name for name in os.listdir("fil-result") if name.startswith("cell-")]
    stacks = [open(os.path.join("fil-result", name, "peak-memory.prof")).read() for name in sorted(folder)]
    assert "In [2]:2 (<module>);In [1]:2 (load)" in stacks[0], stacks[0]

    (without,) = execute("plain.ipynb", "python3", ["%load_ext filprofiler\nget_ipython().run_cell_magic('filprofile', '', '1')"])
    assert without[0]["ename"] == "UsageError" and 'choose the kernel "Python 3 with Fil"' in without[0]["evalue"], without
    print("nbconvert: a profiled cell, a hundred in a row, one that fails, one that runs out of memory, and a kernel without Fil")


if __name__ == "__main__":
    main()
