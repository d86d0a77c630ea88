"""Without fil-profile, the package can be imported, and its calls say how to start the program."""

import os
import subprocess
import sys

import pytest

import filprofiler

CALLS = [
    "current_bytes()",
    "peak_bytes()",
    "reset_peak()",
    "top_call_sites(3)",
    "snapshot('folder')",
    "mark('phase')",
    "profile(lambda: 1, 'folder')",
    "profiled('folder').__enter__()",
]


def alone(code, cwd):
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD" and "FIL_PROFILE" not in name}
    run = subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=str(cwd), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = run.communicate()
    return run.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("call", CALLS)
def test_a_call_says_how_to_start_the_program(call, tmp_path):
    status, _, said = alone("import filprofiler; filprofiler." + call, tmp_path)
    assert status == 1
    assert "RuntimeError: this process does not run under fil-profile: start it with `fil-profile run" in said


def test_whether_anything_is_recorded_is_no_error(tmp_path):
    assert alone("import filprofiler; print(filprofiler.is_recording())", tmp_path) == (0, "False\n", "")


def test_what_is_exported_is_there():
    for name in filprofiler.__all__:
        assert hasattr(filprofiler, name)
