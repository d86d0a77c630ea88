"""`@pytest.mark.limit_memory("200 MB")` fails a test that holds more memory, and names the lines."""

import pytest

from filprofiler import _library
from filprofiler.pytest_plugin import parse_size

WATCHED = _library.find() is not None

TESTS = """
import pytest

@pytest.fixture
def large():
    return bytearray(90 * 1000 * 1000)

@pytest.mark.limit_memory("20 MB")
def test_small(large):
    assert len(bytearray(5 * 1000 * 1000))

@pytest.mark.limit_memory("20 MB")
def test_large():
    held = bytearray(42 * 1000 * 1000)

@pytest.mark.limit_memory("20 MB")
def test_wrong():
    assert 1 == 2

def test_free():
    held = bytearray(40 * 1000 * 1000)
"""


def test_sizes_are_written_as_people_write_them():
    sizes = {"200 MB": 200000000, "1GiB": 1 << 30, "64k": 65536, "1.5 MiB": 1572864, "7": 7}
    assert {text: parse_size(text) for text in sizes} == sizes
    for text in ("", "MB", "-1", "3 apples"):
        with pytest.raises(ValueError):
            parse_size(text)


@pytest.mark.skipif(not WATCHED, reason="not under fil-profile")
def test_a_test_over_its_limit_fails_and_names_the_line(testdir):
    testdir.makepyfile(TESTS)
    result = testdir.runpytest_subprocess("-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["failed"]) == (2, 2)
    result.stdout.fnmatch_lines(
        ["*The test held 40.1 MiB at once; its limit is 19.1 MiB. Most of it at", "*40.1 MiB *test_a_test_over*(test_large)"]
    )
    assert "assert 1 == 2" in result.stdout.str()


@pytest.mark.skipif(WATCHED, reason="under fil-profile")
def test_without_the_program_the_limit_is_a_warning(testdir):
    testdir.makepyfile(TESTS)
    result = testdir.runpytest_subprocess("-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["failed"]) == (3, 1)
    result.stdout.fnmatch_lines(["*limit_memory is not checked*"])
