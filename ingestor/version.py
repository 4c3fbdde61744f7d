"""The version that runs, as the installed package says it."""

from __future__ import annotations

from importlib import metadata

try:
    VERSION = metadata.version("ha-ingestor")
except metadata.PackageNotFoundError:  # run from a checkout that was not installed
    VERSION = "0.0.0"
