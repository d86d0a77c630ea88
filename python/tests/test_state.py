"""How much is held now, how much was held at the peak, and by which lines."""

import os
import threading

import pytest

import filprofiler
from filprofiler import _library

library = _library.find()
pytestmark = pytest.mark.skipif(library is None or not library.is_recording(), reason="not under fil-profile run")

MB = 1000 * 1000


def test_a_large_block_counts_to_the_byte():
    before = filprofiler.current_bytes()
    block = bytearray(50 * MB)
    grown = filprofiler.current_bytes() - before
    assert 50 * MB <= grown < 50.5 * MB
    del block
    assert filprofiler.current_bytes() - before < 0.5 * MB


def test_the_peak_is_that_since_the_reset():
    block = bytearray(60 * MB)
    del block
    assert filprofiler.peak_bytes() >= 60 * MB
    filprofiler.reset_peak()
    now = filprofiler.current_bytes()
    assert abs(filprofiler.peak_bytes() - now) < MB
    block = bytearray(10 * MB)
    del block
    assert 10 * MB <= filprofiler.peak_bytes() - now < 11 * MB


def test_the_largest_call_site_comes_first():
    block = bytearray(70 * MB)
    sites = filprofiler.top_call_sites(3)
    assert len(sites) == 3
    assert os.path.basename(sites[0].file) == "test_state.py"
    assert sites[0].function == "test_the_largest_call_site_comes_first"
    # Exact, but for a small block of the same line that happened to be sampled.
    assert abs(sites[0].bytes - (70 * MB + 1)) <= 8 * sites[0].error_bytes
    assert sites[0].error_bytes < MB / 10
    assert sites[0].bytes >= sites[1].bytes >= sites[2].bytes
    del block
    assert filprofiler.top_call_sites(1)[0].function != "test_the_largest_call_site_comes_first"
    assert filprofiler.top_call_sites(0) == []


def test_a_snapshot_shows_the_run_so_far(tmp_path):
    # More than any earlier test has held.
    block = bytearray(500 * MB)
    filprofiler.snapshot(str(tmp_path))
    assert "test_state.py" in (tmp_path / "peak-memory.prof").read_text()
    assert (tmp_path / "index.html").exists()
    del block


def test_many_threads_may_ask_and_mark_at_once():
    failed = []

    def ask():
        try:
            for number in range(200):
                held = [bytes(1000) for _ in range(100)]
                assert filprofiler.current_bytes() > 0 and filprofiler.peak_bytes() > 0 and held
                filprofiler.mark("phase {}".format(number % 5))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert failed == []


def test_too_many_phases_are_a_warning_and_no_failure():
    with pytest.warns(RuntimeWarning, match="too many phases"):
        for number in range(100):
            filprofiler.mark("one of many {}".format(number))


def test_a_snapshot_replaces_no_file_that_no_report_has_made(tmp_path):
    (tmp_path / "index.html").write_text("precious")
    with pytest.raises(ValueError, match="no report has made, index.html"):
        filprofiler.snapshot(tmp_path)
    assert os.listdir(str(tmp_path)) == ["index.html"] and (tmp_path / "index.html").read_text() == "precious"
