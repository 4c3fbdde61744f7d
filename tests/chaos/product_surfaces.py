"""Each way in which events can be seen, read as a stranger would, and compared with the oracle.

``pages`` and ``states`` by HTTP, ``stream`` by a client that resumes by its cursor, ``query`` by the command, ``files``
by DuckDB alone from the table's files and log, ``journal`` by its reader, and ``disk``: what a start would find, the
table and what lies beyond its watermarks in the journals.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.parse
from array import array
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import duckdb

from ingestor.journal import FrameKind, JournalReader, shards_in
from tests.chaos.oracle import PREFIX, START_US, STEP_US, Ledger, Sight, Verdict, sight_of, sights
from tests.support.product import Product

COLUMNS: Final = ("seq", "entity_id", "context_id", "state", "state_numeric", "attributes", "time_fired")
STREAM: Final = "/api/v1/events/stream?domain=sensor"
SUMS: Final = (
    "select count(*) as count, count(distinct event_id) as different, coalesce(sum(state::bigint), 0) as total "
    "from events where starts_with(entity_id, 'sensor.oracle_')"
)
READ_TIMEOUT_S: Final = 8.0
SILENCE_S: Final = 20.0


def judge_pages(product: Product, ledger: Ledger, *, since: int = 0) -> Verdict:
    """Read all pages of ``GET events``. While the ledger is settled."""
    begin, end = (_text(START_US + number * STEP_US) for number in (since, ledger.end))
    shown = product.events(domain="sensor", start_time=begin, end_time=end)
    return ledger.judge("pages", sights(shown), since=since)


def judge_states(product: Product, ledger: Ledger) -> Verdict:
    """Read all pages of ``GET states``. While the ledger is settled."""
    shown, cursor = [], None
    while True:
        page = product.get("/api/v1/states", domain="sensor", limit=1000, cursor=cursor)
        shown += page["items"]
        cursor = page["next"]
        if cursor is None:
            return ledger.judge_states(shown)


def judge_query(product: Product, ledger: Ledger) -> Verdict:
    """Ask ``ha-ingestor query`` for sums. While the ledger is settled."""
    answer = product.command("query", SUMS, "--json")
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    count, distinct, total = int(found["count"]), int(found["different"]), int(found["total"])
    return ledger.judge_sums("query", count=count, distinct=distinct, total=total)


def judge_files(data_dir: Path, ledger: Ledger, *, whole: bool = True) -> Verdict:
    """Read the table with DuckDB. ``whole``: the history has had the time to take everything in."""
    files, _ = _snapshot(data_dir)
    return ledger.judge("files", (sight for _, sight in _rows(files)), whole=whole)


def judge_journal(data_dir: Path, ledger: Ledger) -> Verdict:
    """Read what the journals still hold. What was trimmed is not demanded."""
    return ledger.judge("journal", (sight for _, _, sight in _journals(data_dir)), whole=False)


def judge_disk(data_dir: Path, ledger: Ledger) -> Verdict:
    """Read what a start would find: the table, and of the journals, read after it, what the table does not have yet."""
    files, marks = _snapshot(data_dir)
    found = [sight for _, sight in _rows(files)]
    found += [sight for shard, seq, sight in _journals(data_dir) if seq > marks.get(shard, 0)]
    return ledger.judge("disk", sorted(found, key=lambda sight: sight.seq))


def _snapshot(data_dir: Path) -> tuple[list[str], dict[int, int]]:
    """Give, from one look at Delta's log, the table's files, and up to which seq it has each shard's journal."""
    events = data_dir / "history" / "events"
    if not any((events / "_delta_log").glob("*.json")):
        return [], {}
    shape = (
        "{add: 'STRUCT(path VARCHAR)', remove: 'STRUCT(path VARCHAR)', txn: 'STRUCT(appId VARCHAR, version BIGINT)'}"
    )
    source = f"read_json('{events}/_delta_log/*.json', format='newline_delimited', columns={shape})"
    with duckdb.connect() as connection:
        lines = connection.execute(f"SELECT add.path, remove.path, txn.appId, txn.version FROM {source}").fetchall()  # noqa: S608 - our own names
    files = {added for added, *_ in lines if added} - {removed for _, removed, *_ in lines if removed}
    marks: dict[int, int] = {}
    for *_, name, version in lines:
        if name and name.startswith("shard-"):
            shard = int(name.removeprefix("shard-"))
            marks[shard] = max(int(version), marks.get(shard, 0))
    return [str(events / urllib.parse.unquote(path)) for path in sorted(files)], marks


def _rows(files: list[str]) -> Iterator[tuple[int, Sight]]:
    """Give shard and sight of each row, by rising seq."""
    if not files:
        return
    columns = ", ".join("epoch_us(time_fired)" if name == "time_fired" else name for name in COLUMNS)
    sql = f"SELECT shard, {columns} FROM read_parquet(?) WHERE starts_with(entity_id, '{PREFIX}') ORDER BY seq"  # noqa: S608 - our own names
    with duckdb.connect() as connection:
        rows = connection.execute(sql, [files])
        while chunk := rows.fetchmany(10_000):
            for shard, *values in chunk:
                sight = sight_of(dict(zip(COLUMNS, values, strict=True)))
                if sight is not None:
                    yield shard, sight


def _journals(data_dir: Path) -> Iterator[tuple[int, int, Sight]]:
    """Give shard, seq and sight of each row that the journals hold."""
    for shard in shards_in(data_dir / "journal"):
        reader = JournalReader(data_dir / "journal" / str(shard))
        while frames := reader.read():
            for frame in frames:
                if frame.kind is FrameKind.EVENTS:
                    for row in frame.batch().select(list(COLUMNS)).to_pylist():
                        sight = sight_of(row)
                        if sight is not None:
                            yield shard, sight.seq, sight


def _text(us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).isoformat()


class Follower:
    """A client of the live stream that comes back with the last id it saw, and ignores what it saw since that id.

    It has to see every event from number ``since`` on.
    """

    def __init__(self, product: Product, since: int = 0) -> None:
        self._product, self._since = product, since
        self._numbers, self._seqs, self._intact = array("q"), array("q"), array("b")
        self.resumed = 0
        self.complaints: list[str] = []
        self._id: str | None = None
        self._since_id: set[int] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_for_place(self, *, within_s: float = 30.0) -> None:
        """Return when the stream has told a place to resume from: from now on nothing may be missed."""
        give_up_at = time.monotonic() + within_s
        while self._id is None:
            assert time.monotonic() < give_up_at, "the stream never told its place"
            time.sleep(0.02)

    def judge(self, ledger: Ledger) -> Verdict:
        """Compare all that came since the first place, once nothing more comes. While the ledger is settled."""
        before, quiet_since = -1, time.monotonic()
        owed = sum(ledger.owed(number) for number in range(self._since, ledger.end))
        while len(self._numbers) < owed and time.monotonic() - quiet_since < SILENCE_S:
            if len(self._numbers) != before:
                before, quiet_since = len(self._numbers), time.monotonic()
            time.sleep(0.05)
        shown = zip(list(self._numbers), list(self._seqs), list(self._intact), strict=False)
        seen = (Sight(number, seq, bool(intact)) for number, seq, intact in shown)
        verdict = ledger.judge("stream", seen, since=self._since)
        for complaint in self.complaints:
            verdict.note("missing", example=complaint)
        return verdict

    def close(self) -> None:
        """Leave the stream."""
        self._end.set()
        self._thread.join(timeout=READ_TIMEOUT_S + 5)

    def _run(self) -> None:
        while not self._end.is_set():
            with suppress(OSError, http.client.HTTPException):
                self._follow()
            time.sleep(0.05)

    def _follow(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._product.port, timeout=READ_TIMEOUT_S)
        try:
            connection.request("GET", STREAM, headers={"Last-Event-ID": self._id} if self._id else {})
            answer = connection.getresponse()
            if answer.status == HTTPStatus.BAD_REQUEST:
                self.complaints.append(f"the stream refused its own id: {answer.read()[:300]!r}")
                self._end.set()
            if answer.status != HTTPStatus.OK:
                answer.read()
                return
            self.resumed += self._id is not None
            self._read(answer)
        finally:
            connection.close()

    def _read(self, answer: http.client.HTTPResponse) -> None:
        told_id, data = "", b""
        while not self._end.is_set() and (line := answer.readline()):
            text = line.rstrip(b"\n")
            if text.startswith(b"id: "):
                told_id = text[4:].decode()
            elif text.startswith(b"data: "):
                data = text[6:]
            elif not text:
                if data.startswith(b'{"event_id"') or b'"entity_id"' in data:
                    self._take(json.loads(data))
                if told_id:
                    self._id = told_id
                    self._since_id.clear()
                told_id, data = "", b""

    def _take(self, event: dict[str, Any]) -> None:
        sight = sight_of(event)
        if sight is None or sight.number in self._since_id:
            return
        self._since_id.add(sight.number)
        self._numbers.append(sight.number)
        self._seqs.append(sight.seq)
        self._intact.append(sight.intact)
