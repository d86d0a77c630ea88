"""`profile` records one call and nothing else, and does not change its result or its exceptions."""

import asyncio
import json
import os
import re
import shutil
import threading

import pytest

import filprofiler
from filprofiler import _folder, _library

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


NAMES = ["interview.recording", "lab.measured", "lab.holders", "timeline.csv", "unrecorded.json", "profile.fil", "run.json", "view.json"]
PICTURES = ["index.html", "peak-memory.svg", "peak-memory-reversed.svg", "holders.svg"]
OF_A_PROCESS = ["7-0.recording", "7-0.measured", "7-0.holders"]


@pytest.mark.parametrize("name", NAMES + PICTURES + OF_A_PROCESS + ["report.json"])
def test_a_file_that_no_report_has_made_stays_and_is_said_before_the_call(tmp_path, name):
    (tmp_path / name).write_text("precious")
    called = []
    with pytest.raises(ValueError, match="no report has made, " + re.escape(name)):
        filprofiler.profile(lambda: called.append(1), tmp_path)
    assert not called and os.listdir(str(tmp_path)) == [name]
    assert (tmp_path / name).read_text() == "precious"


@pytest.mark.parametrize("name", ["timeline.csv", "index.html", "interview.recording"])
def test_a_file_that_the_program_makes_meanwhile_stays(tmp_path, name):
    with pytest.warns(RuntimeWarning, match="no report in .*no report has made"):
        with filprofiler.profiled(tmp_path):
            (tmp_path / name).write_text("precious")
    assert os.listdir(str(tmp_path)) == [name] and (tmp_path / name).read_text() == "precious"


def test_other_files_in_the_folder_stay_beside_the_report(tmp_path):
    for name in ["thesis.tex", "results.csv", "notes.json"]:
        (tmp_path / name).write_text("precious")
    for _ in range(2):
        filprofiler.profile(lambda: hold(1 * MB), tmp_path)
    assert all((tmp_path / name).read_text() == "precious" for name in ["thesis.tex", "results.csv", "notes.json"])
    assert (tmp_path / "index.html").exists()


def test_the_report_of_an_earlier_process_is_replaced(tmp_path):
    filprofiler.profile(lambda: hold(5 * MB), tmp_path)
    os.rename(str(tmp_path / "{}-0.recording".format(os.getpid())), str(tmp_path / "1-0.recording"))
    _folder._begun.clear()
    filprofiler.profile(lambda: hold(2 * MB), tmp_path)
    assert not (tmp_path / "1-0.recording").exists()
    assert near(call_sites(tmp_path)["test_profile.py", "hold"], 2 * MB)


def test_a_copy_of_a_report_is_not_replaced(tmp_path):
    filprofiler.profile(lambda: hold(5 * MB), tmp_path / "report")
    shutil.copytree(str(tmp_path / "report"), str(tmp_path / "copy"))
    run = json.loads((tmp_path / "copy" / "run.json").read_text())
    # What the author of an archive can guess.
    run["made_in"] = {"inode": (tmp_path / "copy").stat().st_ino}
    (tmp_path / "copy" / "run.json").write_text(json.dumps(run))
    if _folder._birth(str(tmp_path)) is not None:
        with pytest.raises(ValueError, match="no report has made"):
            filprofiler.profile(lambda: None, tmp_path / "copy")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link that is another user's")
def test_a_link_of_another_user_is_not_followed(tmp_path):
    (tmp_path / "private").mkdir()
    (tmp_path / "theirs").symlink_to("private")
    os.lchown(str(tmp_path / "theirs"), 65534, 65534)
    (tmp_path / "own").symlink_to("theirs")
    for name in ["theirs", "own", "own/deep"]:
        with pytest.raises(PermissionError, match="theirs is a link that another user has made"):
            filprofiler.profile(lambda: None, tmp_path / name)
    assert os.listdir(str(tmp_path / "private")) == []


def test_the_folder_counts_as_made_here(tmp_path):
    filprofiler.profile(lambda: hold(5 * MB), tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["made_in"]["inode"] == tmp_path.stat().st_ino


def test_the_folder_of_a_run_that_has_ended_is_left_alone(tmp_path):
    (tmp_path / "run.json").write_text('{"supervisor": 7}')
    with pytest.raises(ValueError, match="whole run"):
        filprofiler.profile(lambda: None, tmp_path)
    assert os.listdir(str(tmp_path)) == ["run.json"]
