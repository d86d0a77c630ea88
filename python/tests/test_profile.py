"""`profile` records one call and nothing else, and does not change its result or its exceptions."""

import asyncio
import json
import os
import threading

import pytest

import filprofiler
from filprofiler import _library

pytestmark = pytest.mark.skipif(_library.find() is None, reason="not under fil-profile")

MB = 1000 * 1000
kept = []


def call_sites(folder):
    with open(os.path.join(str(folder), "report.json")) as report:
        sites = json.load(report)["call_sites"]
    return {(os.path.basename(site["file"] or ""), site["function"]): site["bytes"] for site in sites}


def near(found, size):
    """A large block is exact; the small ones beside it are estimated."""
    return size <= found < size + 200 * 1000


def hold(size):
    kept.append(bytearray(size))
    return size


def test_the_result_is_that_of_the_call_and_the_report_has_no_more_than_it(tmp_path):
    hold(30 * MB)
    assert filprofiler.api.profile(lambda: hold(5 * MB), str(tmp_path)) == 5 * MB
    hold(20 * MB)
    assert near(call_sites(tmp_path)["test_profile.py", "hold"], 5 * MB)
    assert (tmp_path / "index.html").exists() and (tmp_path / "peak-memory.svg").exists()
    stacks = (tmp_path / "peak-memory.prof").read_text().splitlines()
    of_hold = [stack for stack in stacks if "(hold) " in stack]
    assert of_hold and all("(<lambda>)" in stack.split(";")[0] for stack in of_hold), "it begins with the call itself"


def test_an_exception_passes_through_and_leaves_a_report(tmp_path):
    def fail():
        hold(5 * MB)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        filprofiler.profile(fail, tmp_path)
    assert call_sites(tmp_path)["test_profile.py", "hold"] >= 5 * MB


def test_what_is_freed_before_the_end_is_in_the_peak(tmp_path):
    def brief():
        block = bytearray(40 * MB)
        del block
        return [bytearray(2 * MB)]

    assert filprofiler.profile(brief, tmp_path)
    sites = call_sites(tmp_path)
    assert near(sites["test_profile.py", "brief"], 40 * MB)


def test_a_block_of_code_and_every_call_of_a_function(tmp_path):
    with filprofiler.profiled(tmp_path / "block"):
        hold(3 * MB)
    assert near(call_sites(tmp_path / "block")["test_profile.py", "hold"], 3 * MB)

    @filprofiler.profiled(tmp_path / "function")
    def decorated(size):
        """Says what it does."""
        return hold(size)

    assert decorated.__doc__ == "Says what it does."
    for size in (4 * MB, 6 * MB):
        assert decorated(size) == size
        assert near(call_sites(tmp_path / "function")["test_profile.py", "hold"], size)


def test_a_coroutine_function_is_recorded_while_it_runs(tmp_path):
    @filprofiler.profiled(tmp_path)
    async def later():
        await asyncio.sleep(0)
        return hold(7 * MB)

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(later()) == 7 * MB
    loop.close()
    assert near(call_sites(tmp_path)["test_profile.py", "hold"], 7 * MB)


def test_calls_within_calls_and_in_other_threads_have_each_their_own(tmp_path):
    def outer():
        hold(2 * MB)
        filprofiler.profile(lambda: hold(3 * MB), tmp_path / "inner")

    filprofiler.profile(outer, tmp_path / "outer")
    assert near(call_sites(tmp_path / "inner")["test_profile.py", "hold"], 3 * MB)
    assert near(call_sites(tmp_path / "outer")["test_profile.py", "hold"], 5 * MB)
    threads = [
        threading.Thread(target=filprofiler.profile, args=(lambda: hold(1 * MB), tmp_path / str(number))) for number in range(4)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    for number in range(4):
        assert call_sites(tmp_path / str(number))["test_profile.py", "hold"] >= 1 * MB


def test_a_hundred_in_a_row(tmp_path):
    for _ in range(100):
        filprofiler.profile(lambda: hold(1 * MB), tmp_path)
        assert near(call_sites(tmp_path)["test_profile.py", "hold"], 1 * MB)
        del kept[:]


def test_a_forked_child_does_not_write_its_parents_report(tmp_path):
    with filprofiler.profiled(tmp_path):
        child = os.fork()
        if child == 0:
            hold(9 * MB)
    if child == 0:
        os._exit(len(list(tmp_path.glob("{}-*".format(os.getpid())))))
    assert os.waitpid(child, 0)[1] == 0


def test_a_folder_that_cannot_be_made_is_said_before_the_call(tmp_path):
    (tmp_path / "file").write_text("")
    called = []
    with pytest.raises(OSError):
        filprofiler.profile(lambda: called.append(1), tmp_path / "file")
    assert called == []


def test_the_folder_of_a_whole_run_is_left_alone(tmp_path):
    (tmp_path / "lock").write_text("")
    with pytest.raises(ValueError, match="whole run"):
        filprofiler.profile(lambda: None, tmp_path)


def test_links_in_the_folder_lead_nowhere_and_what_others_have_left_is_no_part_of_the_report(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    folder = tmp_path / "report"
    folder.mkdir()
    names = ["run.json", "view.json", "timeline.csv", "{}-0.recording".format(os.getpid()), "profile.fil", "index.html"]
    for name in names:
        (folder / name).symlink_to(precious)
    filprofiler.profile(lambda: hold(5 * MB), folder)
    assert precious.read_text() == "precious"
    assert not any((folder / name).is_symlink() for name in names)
    assert near(call_sites(folder)["test_profile.py", "hold"], 5 * MB)


def test_the_folder_counts_as_made_here(tmp_path):
    filprofiler.profile(lambda: hold(5 * MB), tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["made_in"]["inode"] == tmp_path.stat().st_ino


def test_the_folder_of_a_run_that_has_ended_is_left_alone(tmp_path):
    (tmp_path / "run.json").write_text('{"supervisor": 7}')
    with pytest.raises(ValueError, match="whole run"):
        filprofiler.profile(lambda: None, tmp_path)
    assert os.listdir(str(tmp_path)) == ["run.json"]
