"""Tests of the core: Ray is forbidden here."""

from __future__ import annotations

import sys
from typing import NoReturn

import pytest


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail any test of the core that starts Ray."""

    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        raise AssertionError("tests of ingestor/ do not depend on Ray")

    if "ray" in sys.modules:
        monkeypatch.setattr(sys.modules["ray"], "init", refuse)
