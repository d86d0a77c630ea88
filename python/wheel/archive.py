"""Writes a wheel file (PEP 427). The same content always gives the same bytes."""

import base64
import hashlib
import pathlib
import types
import typing
import zipfile

GENERATOR = "fil-profile"
# A fixed time, so that builds can be compared.
TIME = (1980, 1, 1, 0, 0, 0)


class Wheel:
    """A wheel that is filled inside a `with` statement. The end of the statement writes the RECORD file."""

    def __init__(self, folder: pathlib.Path, name: str, version: str, tag: str) -> None:
        self.stem = "{}-{}".format(name, version)
        self.name = "{}-{}.whl".format(self.stem, tag)
        self._tag = tag
        self._record = []  # type: typing.List[str]
        self._zip = zipfile.ZipFile(str(folder / self.name), "w", zipfile.ZIP_DEFLATED)

    def __enter__(self) -> "Wheel":
        return self

    def __exit__(
        self,
        kind: "typing.Optional[typing.Type[BaseException]]",
        error: "typing.Optional[BaseException]",
        trace: "typing.Optional[types.TracebackType]",
    ) -> None:
        if kind is None:
            self._finish()
        self._zip.close()

    def add(self, name: str, content: bytes, executable: bool = False) -> None:
        entry = zipfile.ZipInfo(name, TIME)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = (0o100755 if executable else 0o100644) << 16
        self._zip.writestr(entry, content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        self._record.append("{},sha256={},{}".format(name, digest, len(content)))

    def add_data(self, name: str, content: bytes) -> None:
        """Adds a file that is installed relative to the root of the environment."""
        self.add("{}.data/data/{}".format(self.stem, name), content)

    def add_metadata(self, name: str, content: bytes) -> None:
        self.add("{}.dist-info/{}".format(self.stem, name), content)

    def _finish(self) -> None:
        lines = ["Wheel-Version: 1.0", "Generator: " + GENERATOR, "Root-Is-Purelib: false"]
        # A compressed tag stands for several tags: one line for each.
        python, abi, platforms = self._tag.split("-")
        lines += ["Tag: {}-{}-{}".format(python, abi, platform) for platform in platforms.split(".")]
        self.add_metadata("WHEEL", ("\n".join(lines) + "\n").encode())
        record = "{}.dist-info/RECORD".format(self.stem)
        entry = zipfile.ZipInfo(record, TIME)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = 0o100644 << 16
        self._zip.writestr(entry, "\n".join(self._record + [record + ",,"]) + "\n")
