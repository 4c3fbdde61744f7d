"""The SQLite store keeps the contract, over processes, kills and damaged files."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import zstandard

from ingestor.errors import MetadataCorrupt, MetadataError
from ingestor.metadata import Metadata, SqliteMetadata
from tests.ingestor.metadata.contract import MetadataContract, Opener

FRAMES = Path(__file__).parents[2] / "fixtures" / "frames" / "2025.4.4"

LEASER = """
import sys
from pathlib import Path
from ingestor.metadata import SqliteMetadata
store = SqliteMetadata(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    print(store.lease_seqs(7), flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metadata" / "metadata.sqlite"


class TestSqliteMetadata(MetadataContract):
    @pytest.fixture
    def opener(self, path: Path) -> Iterator[Opener]:
        opened: list[SqliteMetadata] = []

        def open_another() -> Metadata:
            opened.append(SqliteMetadata(path))
            return opened[-1]

        yield open_another
        for store in opened:
            store.close()


def test_files_are_private(path: Path) -> None:
    """Nobody but the user may read the file, its log or its folder."""
    with contextlib.closing(SqliteMetadata(path)) as store:
        store.put("x", 1)
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(["metadata.sqlite", "metadata.sqlite-wal", "metadata.sqlite-shm"], 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_every_commit_is_synced(path: Path) -> None:
    """The file is in WAL mode with full synchronisation."""
    with contextlib.closing(SqliteMetadata(path)) as store, store._file.reading() as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_processes_never_lease_the_same_seq(path: Path) -> None:
    """Processes that open a store that is not there yet, at the same time, get numbers of their own."""
    processes = [_lease(path, 40) for _ in range(3)]
    outputs = [process.communicate(timeout=30)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    firsts = sorted(int(line) for output in outputs for line in output.split())
    assert firsts == list(range(1, 1 + 7 * 120, 7))


def test_a_killed_process_leaves_no_repeat(path: Path) -> None:
    """SIGKILL in the middle of leasing loses nothing that was given out, and the next lease lies above all of it."""
    chance = random.Random(7)  # noqa: S311 - repeatable on purpose
    given: list[int] = []
    for _ in range(5):
        process = _lease(path, 1_000_000)
        assert process.stdout is not None
        given += [int(process.stdout.readline()) for _ in range(3)]
        time.sleep(chance.random() / 50)
        os.kill(process.pid, signal.SIGKILL)
        given += [int(line) for line in process.communicate()[0].split("\n")[:-1]]
        with contextlib.closing(SqliteMetadata(path)) as store:
            given.append(store.lease_seqs(7))
    assert len(given) >= 20
    assert given == sorted(set(given))
    assert all((first - 1) % 7 == 0 for first in given)


def test_an_unchanged_document_is_not_written_again(path: Path) -> None:
    """The registries of a real home, put again as they are, do not make the file grow."""
    lines = zstandard.ZstdDecompressor().stream_reader((FRAMES / "A_all.frames.ndjson.zst").read_bytes()).read()
    content = [orjson.loads(line) for line in lines.splitlines()[:500]]
    with contextlib.closing(SqliteMetadata(path)) as store:
        store.put_document("home", "states", content)
        log = path.with_name("metadata.sqlite-wal")
        before = log.stat().st_size
        for _ in range(3):
            store.put_document("home", "states", content)
        assert log.stat().st_size == before
        assert store.documents("home") == {"states": content}
        assert path.stat().st_size + before < len(lines)


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    """The error names the file and the next step."""
    path.parent.mkdir()
    path.write_bytes(b"this is no database, whatever its name" * 100)
    with pytest.raises(MetadataCorrupt, match=r"metadata\.sqlite: is damaged.*backup"):
        SqliteMetadata(path)


def test_a_damaged_page_is_named(path: Path) -> None:
    """A page overwritten with noise gives the clear error where it is touched, and no invented content."""
    with contextlib.closing(SqliteMetadata(path)) as store:
        _fill(store)
        expected = _read(store)
    whole = path.read_bytes()
    noise = random.Random(1).randbytes(4096)  # noqa: S311 - repeatable on purpose
    found = 0
    for at in range(4096, len(whole), 4096):
        path.write_bytes(whole[:at] + noise + whole[at + 4096 :])
        try:
            with contextlib.closing(SqliteMetadata(path)) as store:
                assert _read(store) == expected
        except MetadataCorrupt as error:
            assert "restore the file from a backup" in str(error).lower()  # noqa: PT017 - either outcome is right
            found += 1
    assert found > 5


def test_a_cut_off_file_is_named(path: Path) -> None:
    """A file of which the end is missing gives the clear error."""
    with contextlib.closing(SqliteMetadata(path)) as store:
        _fill(store)
    path.write_bytes(path.read_bytes()[: 2 * 4096 + 100])
    with pytest.raises(MetadataError, match=r"metadata\.sqlite"), contextlib.closing(SqliteMetadata(path)) as store:
        _read(store)


def test_a_flipped_bit_in_a_document_is_found(path: Path) -> None:
    """SQLite has no checksums; a document carries its own, and no flipped bit of it can pass."""
    with contextlib.closing(SqliteMetadata(path)) as store:
        store.put_document("home", "config", {"words": [str(number) for number in range(50)]})
        with store._file.reading() as db:
            packed = db.execute("SELECT content FROM documents").fetchone()[0]
        found = 0
        for at in range(len(packed)):
            broken = bytearray(packed)
            broken[at] ^= 1 << at % 8
            with store._file.writing() as db:
                db.execute("UPDATE documents SET content = ?", (bytes(broken),))
            try:
                assert store.documents("home") == {"config": {"words": [str(number) for number in range(50)]}}
            except MetadataCorrupt as error:
                assert "document config of home" in str(error)  # noqa: PT017 - a bit may be one of no meaning
                found += 1
        assert found > len(packed) * 0.9


def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    """A foreign database is refused and not changed."""
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE theirs (x)")
    with pytest.raises(MetadataError, match="another program"):
        SqliteMetadata(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_newer_schema_is_refused(path: Path) -> None:
    """A file of a newer version is not touched by an older one."""
    SqliteMetadata(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(MetadataError, match=r"newer version \(schema 99\)"):
        SqliteMetadata(path)


def test_a_busy_store_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that is kept out for too long is told to repeat."""
    monkeypatch.setattr("ingestor.metadata.connection.BUSY_S", 0.05)
    with (
        contextlib.closing(SqliteMetadata(path)) as store,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(MetadataError, match="repeat"):
            store.lease_seqs(1)
        other.execute("ROLLBACK")
        assert store.lease_seqs(1) == 1


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The error names the path and the fault."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MetadataError, match=r"file/metadata\.sqlite: cannot be opened"):
        SqliteMetadata(tmp_path / "file" / "metadata.sqlite")


def test_a_closed_store_says_so(path: Path) -> None:
    """Use after close is an error in words; closing twice is harmless; a forgotten store closes itself."""
    store = SqliteMetadata(path)
    store.close()
    store.close()
    with pytest.raises(MetadataError, match="is closed"):
        store.get("x")
    SqliteMetadata(path)
    gc.collect()


def _lease(path: Path, times: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", LEASER, str(path), str(times)], stdout=subprocess.PIPE, text=True)


def _fill(store: Metadata) -> None:
    for number in range(8):
        store.put(f"name {number}", "value " * 300)
        store.set_cursor(f"sink {number}", {0: number})
        store.open_gap(
            gap_id=f"g{number}", home="home", source="demo", from_us=number, reason="disconnect", detail="away " * 300
        )
    store.put_document("home", "config", [str(number) for number in range(20_000)])


def _read(store: Metadata) -> object:
    return (
        [store.get(f"name {number}") for number in range(8)],
        [store.cursor(f"sink {number}") for number in range(8)],
        store.gaps(),
        store.documents("home"),
        store.quarantined(),
    )
