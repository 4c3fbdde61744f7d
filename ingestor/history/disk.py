"""Bytes that shall outlive a power cut. A name appears only when its content is whole and on disk.

None of the Parquet and Delta writers calls fsync, so everything the history keeps passes through here.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

DIGEST_BYTES = 16


def digest_of(content: bytes | memoryview) -> str:
    """Return the BLAKE2b-128 of the content as 32 hex digits."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the digest of a file's content. Reads all of it, a megabyte at a time."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()


def sync(path: Path) -> None:
    """Put a file's content, or a folder's entries, on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that ``path`` holds either what it held before or all of ``content``. Durable on return."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)


def make_folder(path: Path) -> None:
    """Create a folder and those above it. Durable on return."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync(path.parent)
