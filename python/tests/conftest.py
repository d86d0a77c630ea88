"""Tests of the package. Run them with each Python under `fil-profile run -m pytest`, and once without fil-profile."""

pytest_plugins = ["pytester"]
