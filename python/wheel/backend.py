"""Builds the wheel (PEP 517): cargo builds the program and its library, and the Python package is added. Needs no other package.

A wheel works with every CPython from 3.6 on, because the library finds out at run time which version it is in. The oldest glibc that the
wheel works with is read from the two binaries. The setting `target` (`pip --config-settings target=aarch64-unknown-linux-gnu.2.17`) is for
another processor or an older glibc: cargo-zigbuild then builds for it.
"""

import os
import pathlib
import subprocess
import tarfile
from typing import Callable, Dict, List, Optional

import elf
from archive import Wheel

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = "fil_profile"
LICENCES = ["LICENSE-APACHE", "LICENSE-MIT", "oom-guard/THIRD-PARTY-LICENCES.txt"]

Settings = Optional[Dict[str, object]]

# Files below share/ that the program prints itself.
GENERATED = {
    "bash-completion/completions/fil-profile": ["completions", "bash"],
    "zsh/site-functions/_fil-profile": ["completions", "zsh"],
    "fish/vendor_completions.d/fil-profile.fish": ["completions", "fish"],
    "man/man1/fil-profile.1": ["man"],
}

ENTRY_POINTS = """\
[console_scripts]
fil-profile = filprofiler.__main__:main

[pytest11]
filprofiler = filprofiler.pytest_plugin
"""

METADATA = """\
Metadata-Version: 2.1
Name: fil-profile
Version: {version}
Summary: Says which lines of code held the memory when a job ran out of it
License: Apache-2.0 OR MIT
{licences}
Keywords: memory,profiler,out of memory,oom
Classifier: Development Status :: 4 - Beta
Classifier: Framework :: Jupyter
Classifier: Framework :: Pytest
Classifier: Intended Audience :: Developers
Classifier: Intended Audience :: Science/Research
Classifier: License :: OSI Approved :: Apache Software License
Classifier: License :: OSI Approved :: MIT License
Classifier: Operating System :: POSIX :: Linux
Classifier: Programming Language :: Python :: 3
Classifier: Programming Language :: Python :: Implementation :: CPython
Classifier: Programming Language :: Rust
Classifier: Topic :: Software Development :: Debuggers
Classifier: Typing :: Typed
Requires-Python: >=3.6
Description-Content-Type: text/markdown

{description}"""


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: Optional[str] = None
) -> str:
    binaries = compile_binaries(str((config_settings or {}).get("target", "")))
    tag = "py3-none-" + elf.platform(binaries)
    wheel = Wheel(pathlib.Path(wheel_directory), NAME, version(), tag)
    with wheel:
        package(wheel, binaries)
        describe(wheel.add_metadata)
    return wheel.name


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    folder = pathlib.Path(metadata_directory, "{}-{}.dist-info".format(NAME, version()))

    def write(name: str, content: bytes) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    describe(write)
    return folder.name


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    stem = "{}-{}".format(NAME, version())
    path = pathlib.Path(sdist_directory, stem + ".tar.gz")
    with tarfile.open(str(path), "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name in sources():
            archive.add(str(ROOT / name), "{}/{}".format(stem, name), recursive=False)
        note = pathlib.Path(sdist_directory, "PKG-INFO")
        note.write_bytes(metadata())
        archive.add(str(note), stem + "/PKG-INFO")
        note.unlink()
    return path.name


def sources() -> List[str]:
    """The files that git tracks; in an unpacked sdist, all files."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=str(ROOT), check=True, stdout=subprocess.PIPE).stdout
        return [name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        files = (path for path in ROOT.rglob("*") if path.is_file() and path.name != "PKG-INFO")
        return sorted(str(path.relative_to(ROOT)) for path in files if "target" not in path.relative_to(ROOT).parts)


def compile_binaries(wanted: str) -> List[pathlib.Path]:
    """Builds the program and its library without debug information, in a separate folder below cargo's target folder.

    `wanted` is empty, or a target as cargo-zigbuild has it: its last part is the oldest glibc.
    """
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve() / "wheel"
    command = ["zigbuild", "--target", wanted] if wanted else ["build"]
    cargo = [os.environ.get("CARGO", "cargo"), *command, "--release", "--locked", "-p", "preload", "-p", "oom-guard"]
    try:
        subprocess.run(
            cargo + ["--target-dir", str(target)],
            cwd=str(ROOT),
            env=dict(os.environ, CARGO_PROFILE_RELEASE_STRIP="symbols"),
            check=True,
        )
    except FileNotFoundError:
        raise SystemExit("fil-profile is built by cargo, which is missing: see https://rustup.rs") from None
    folder = target / wanted.split(".")[0] / "release"
    return [folder / name for name in ["fil-profile", "libpreload.so"]]


def package(wheel: Wheel, binaries: List[pathlib.Path]) -> None:
    folder = ROOT / "python" / "filprofiler"
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder.parent).as_posix()
        if path.is_file() and path.suffix != ".pyc" and not name.startswith("filprofiler/bin/"):
            wheel.add(name, path.read_bytes())
    for binary in binaries:
        wheel.add("filprofiler/bin/" + binary.name, binary.read_bytes(), executable=True)
    for path in sorted((ROOT / "python" / "kernel").iterdir()):
        wheel.add_data("share/jupyter/kernels/filprofile/" + path.name, path.read_bytes())
    for name, arguments in GENERATED.items():
        wheel.add_data("share/" + name, printed(binaries[0], arguments))


def printed(program: pathlib.Path, arguments: List[str]) -> bytes:
    """What the program that was built prints; if it is for another processor, what the same program for this one prints."""
    try:
        return subprocess.run([str(program), *arguments], check=True, stdout=subprocess.PIPE).stdout
    except OSError:
        cargo = [os.environ.get("CARGO", "cargo"), "run", "--quiet", "--release", "--locked", "-p", "oom-guard", "--"]
        return subprocess.run(cargo + arguments, cwd=str(ROOT), check=True, stdout=subprocess.PIPE).stdout


def describe(add: Callable[[str, bytes], None]) -> None:
    add("METADATA", metadata())
    add("entry_points.txt", ENTRY_POINTS.encode())
    for licence in LICENCES:
        add("licenses/" + licence.split("/")[-1], (ROOT / licence).read_bytes())


def metadata() -> bytes:
    # The link to the picture is relative, so it leads nowhere outside of the repository.
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines(True)
    description = "".join(line for line in lines if not line.startswith("!["))
    licences = "\n".join("License-File: " + licence.split("/")[-1] for licence in LICENCES)
    return METADATA.format(version=version(), licences=licences, description=description).encode()


def version() -> str:
    """The version of the workspace."""
    lines = (ROOT / "Cargo.toml").read_text(encoding="utf-8").splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("version = "))
