"""Tests of the package, to be run with each Python under `fil-profile run -m pytest`, and once without."""

pytest_plugins = ["pytester"]
