"""What the papers say is there, is there."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from ingestor.settings import Settings

ROOT = Path(__file__).parent.parent
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")


def test_each_guarantee_names_tests_that_exist() -> None:
    """A promise whose test was renamed or removed is no promise."""
    named = TEST.findall((ROOT / "docs" / "GUARANTEES.md").read_text(encoding="utf-8"))
    assert len(named) >= 20
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists() or f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_each_setting_stands_in_the_readme() -> None:
    """A setting nobody can read about does not exist."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    names = []
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            names += [f"{name}.{inner}" for inner in section.model_fields]
        else:
            names.append(name)
    assert [name for name in names if f"`{name}`" not in readme] == []


def test_each_link_in_the_papers_leads_somewhere() -> None:
    """Relative links of README and docs point at files."""
    papers = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    broken = [
        f"{paper.relative_to(ROOT)} -> {target}"
        for paper in papers
        for target in LINK.findall(paper.read_text(encoding="utf-8"))
        if not target.startswith("/") and not (paper.parent / target).exists()
    ]
    assert broken == []


def test_the_projects_lock_files_record_no_address() -> None:
    """Packages are pinned by hash, wherever they come from."""
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text
        assert text.count("--hash=") > text.count("==")
