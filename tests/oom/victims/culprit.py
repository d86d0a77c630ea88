"""Imports packages in every way, and holds memory in lines of its own through a library that they share."""
import importlib
import os
import sys
import tempfile
import zipfile

MIB = 1 << 20
PACKAGE = "DATA = bytearray(9 << 20)\n"
LIBRARY = "def make(size):\n    return bytearray(size)\n"
OWN_MODULE = "import library\nTABLE = library.make(12 << 20)\n"

folder = tempfile.TemporaryDirectory()
installed = os.path.join(folder.name, "site-packages")
own = os.path.join(folder.name, "own")
archive = os.path.join(installed, "archive.zip")


def write(place, name, text):
    with open(os.path.join(place, name), "w") as file:
        file.write(text)


os.mkdir(installed)
os.mkdir(own)
for name in ("plain", "lazy", "by_name", "by_function"):
    write(installed, name + ".py", PACKAGE)
write(installed, "library.py", LIBRARY)
write(own, "tables.py", OWN_MODULE)
with zipfile.ZipFile(archive, "w") as zipped:
    zipped.writestr("zipped.py", PACKAGE)
sys.path[:0] = [installed, own, archive]

import plain  # noqa: E402
import tables  # noqa: E402
import zipped as in_archive  # noqa: E402


def later():
    import lazy

    return lazy


kept = [plain, in_archive, tables, later(), __import__("by_name"), importlib.import_module("by_function")]
kept += [tables.library.make(20 * MIB)]  # LARGEST
kept += [tables.library.make(11 * MIB)]  # SECOND
