"""No name can control a terminal: neither in the text of a notebook nor in a line on stderr."""

import json
import os
import re

import pytest

from filprofiler import _kernel, _picture, _say

HOSTILE = "a\x1b]0;X\x07\u202e\n=fil-profile= forged\u2066\udcff.py"
WRITTEN = r"a\u{1b}]0;X\u{7}\u{202e}\n=fil-profile= forged\u{2066}\u{dcff}.py"


def test_hidden_characters_are_written_out_and_others_left_alone():
    assert _say.printable(HOSTILE) == WRITTEN
    assert _say.printable(_say.printable(HOSTILE)) == WRITTEN
    assert _say.printable("größe 数 שלום 🎉") == "größe 数 שלום 🎉"


def test_the_same_characters_are_hidden_as_elsewhere():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    table = os.path.join(root, "dumper", "recording", "src", "hidden.rs")
    if not os.path.exists(table):
        pytest.skip("this is no checkout: there is no " + table)
    with open(table, encoding="utf-8") as file:
        code = file.read().split("#[cfg(test)]")[0]
    found = set()
    for first, last in re.findall(r"'\\u\{(\w+)\}'(?:\.\.='\\u\{(\w+)\}')?", code):
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    # What Rust's `is_control` and the last line there say, and surrogates, which do not exist in Rust.
    found.update(range(0x20), range(0x7F, 0xA0), range(0xD800, 0xE000))
    found.update(plane << 16 | end for plane in range(17) for end in (0xFFFE, 0xFFFF))
    assert found == {code for code in range(0x110000) if _say.is_hidden(chr(code))}


def test_a_line_of_ours_is_one_line(capfd):
    _say.say(HOSTILE)
    assert capfd.readouterr() == ("", "=fil-profile= " + WRITTEN + "\n")


def test_what_a_kernel_says_of_its_run_is_one_line(capfd, monkeypatch):
    monkeypatch.setattr(_kernel, "PATIENCE", 0)
    kernel = _kernel.Kernel(None, "")
    kernel._run = HOSTILE

    class Failed:
        error_in_exec = MemoryError()

    kernel._after(Failed())

    def no_memory():
        raise MemoryError

    monkeypatch.setattr(kernel, "_show_failed", no_memory)
    kernel._after(Failed())
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2, lines
    assert all(line.startswith("=fil-profile= ") and WRITTEN in line for line in lines)


def test_the_text_of_a_picture_holds_nothing_hidden(tmp_path):
    folder = tmp_path / "a\x1b[2J\u202e"
    folder.mkdir()
    culprit = {"file": HOSTILE, "place": HOSTILE + ":1 (f\x9b\u2028)", "share": 0.5}
    report = {"moment": {"name": "peak", "bytes": 1 << 20}, "culprit": culprit}
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "peak-memory.svg").write_text('<svg height="10"></svg>')
    shown = _picture.bundle(str(folder))
    first, second = shown["text/plain"].split("\n")
    assert WRITTEN + r":1 (f\u{9b}\u{2028})" in first
    assert second.endswith(r"a\u{1b}[2J\u{202e}/index.html")
    for text in (first, second, shown["text/html"]):
        assert not any(_say.is_hidden(character) for character in text)
