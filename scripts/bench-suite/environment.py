"""The benchmark's own Python environment below `target/`, and the description of the machine."""

import json
import os
import platform
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()


def prepare(python, target, say):
    """Returns the Python of an environment with all packages of requirements.txt. Installs only what is missing."""
    version = output_of(python, "-c", "import platform; print(platform.python_version())")
    venv = target / f"python-{version}"
    inside = venv / "bin" / "python"
    wanted = (HERE / "requirements.txt").read_text()
    done = venv / "installed"
    if not done.exists() or done.read_text() != wanted:
        say(f"installing the peers and the libraries for Python {version}")
        subprocess.run([python, "-m", "venv", "--clear", venv], check=True)
        install = [inside, "-m", "pip", "install", "--quiet", "--requirement", HERE / "requirements.txt"]
        subprocess.run(install, check=True)
        done.write_text(wanted)
    return inside


def inputs(python, target, say):
    folder = target / "inputs"
    # Written last, so that an interrupted preparation is repeated.
    done = folder / "made"
    recipe = (HERE / "inputs.py").read_text() + "".join(p.read_text() for p in sorted((HERE / "workloads").glob("*.c*")))
    if not done.exists() or done.read_text() != recipe:
        say("making the inputs")
        subprocess.run([python, HERE / "inputs.py", folder], check=True)
        done.write_text(recipe)
    return folder


def machine(python, ours):
    """What a reader must know to compare the figures with other figures."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ":?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    packages = json.loads(output_of(python, "-m", "pip", "list", "--format=json"))
    wanted = [line for line in (HERE / "requirements.txt").read_text().split("\n") if line and not line.startswith("#")]
    versions = {entry["name"]: entry["version"] for entry in packages if entry["name"] in wanted}
    heaptrack = output_of("heaptrack", "--version").split() if output_of("which", "heaptrack") else []
    return {
        "cpu": cpu.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "kernel": platform.release(),
        "glibc": platform.libc_ver()[1],
        "python": output_of(python, "-c", "import platform; print(platform.python_version())"),
        "fil_profile": output_of(ours, "--version"),
        "commit": output_of("git", "-C", ROOT, "describe", "--always", "--dirty"),
        "packages": {**versions, **({"heaptrack": heaptrack[-1]} if heaptrack else {})},
    }
