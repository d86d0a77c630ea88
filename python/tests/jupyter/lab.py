"""JupyterLab in a headless browser: choose the kernel, profile a cell, run out of memory, see what a person sees.

To be run in an empty folder, where the pictures of what was seen stay.
"""

import os
import shutil
import socket
import subprocess
import sys
import time

KERNEL = "Python 3 with Fil"
PATIENCE = 90


def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("waited in vain for " + what)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Lab:
    def __init__(self, page):
        self.page = page

    def run(self, source):
        self.page.locator(".jp-Notebook .jp-Cell .cm-content").last.click()
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Shift+Enter")

    def cell(self, number):
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def see(self, name):
        self.page.screenshot(path=name + ".png")

    def graph(self, number):
        """The labels in the graph below a cell."""
        frame = until(lambda: self.cell(number).locator("iframe").element_handles(), "a graph")[0].content_frame()
        edges = "['title', 'search'].map(id => document.getElementById(id).getBoundingClientRect())"
        until(lambda: frame.evaluate("(([title, search]) => title.right < search.left)({})".format(edges)), "a title beside the search")
        labels = "[...document.querySelectorAll('#frames title')].map(title => title.textContent.split('\\n')[0])"
        return until(lambda: frame.evaluate(labels), "frames in the graph")


def look(page, address):
    lab = Lab(page)

    def is_there():
        try:
            return page.goto(address)
        except Exception:
            return None

    until(is_there, "the server")
    page.click('.jp-LauncherCard[title="{}"] >> nth=0'.format(KERNEL), timeout=PATIENCE * 1000)
    page.wait_for_selector(".jp-Notebook .cm-content", timeout=PATIENCE * 1000)
    until(lambda: KERNEL + " | Idle" in page.inner_text("#jp-main-statusbar"), "the kernel")
    lab.run("def load(count):\n    return [bytes(1000) for _ in range(count)]")
    lab.run("%%filprofile\nkept = load(50000)\nblock = bytearray(30_000_000)\nlen(kept)")
    labels = lab.graph(1)
    lab.see("profiled")
    assert {"In [2]:2 (<module>)", "In [1]:2 (load)", "In [2]:3 (<module>)"} <= set(labels), labels
    drawn = lab.cell(1).locator("iframe").element_handles()[0].content_frame().evaluate("document.querySelector('#frames').textContent")
    assert "kept = load(50000)" in drawn and "return [bytes(1000)" in drawn, drawn
    until(lambda: "50000" in lab.cell(1).locator(".jp-OutputArea").inner_text(), "the last value")

    lab.run("import resource; resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000,) * 2)")
    lab.run("more = []\nfor _ in iter(int, 1): more.append(bytearray(50_000_000))")
    labels = lab.graph(3)
    said = lab.cell(3).inner_text()
    lab.see("out-of-memory")
    assert "In [4]:2 (<module>)" in labels, labels
    page_of_report = said.split("The report:")[1].split()[0]
    assert "behind this notebook has died.\nfil-profile: " in said and os.path.exists(page_of_report), said
    until(lambda: "appears to have died" in page.inner_text("body"), "Jupyter's own word")
    lab.see("died")
    return said


def main():
    from playwright.sync_api import sync_playwright

    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        print("JupyterLab is not looked at: there is no chromium on PATH")
        return
    port = str(free_port())
    options = ["--no-browser", "--allow-root", "--port", port, "--IdentityProvider.token=", "--ServerApp.password="]
    # --on-oom=exit ends the kernel at the first failed allocation: no cgroup is needed for that.
    environment = dict(os.environ, FIL_PROFILE_ON_OOM="exit")
    with open("server.log", "w") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab"] + options, env=environment, stdout=log, stderr=log)
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            page = chromium.new_page(viewport={"width": 1300, "height": 1000})
            said = look(page, "http://127.0.0.1:{}/lab?reset".format(port))
            chromium.close()
        print("JupyterLab: a graph in the notebook, and in place of a dead kernel: " + said.split("fil-profile: ")[1].splitlines()[0])
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
