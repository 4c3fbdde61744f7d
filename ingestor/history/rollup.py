"""Hours of days that are over, summed up by entity: what makes a month of hourly answers cheap.

A roll-up is derived and never relied on. Its name holds the digest of the data files it was made from and the digest of
its own content: a day whose files are others by now, or a roll-up with a bit turned, is answered from the rows.

It has rows of two sorts. *Hours*: what the events of an hour sum up to, by place and by what they are, and what was
held then by states of the same day. *Edges* (``edge``), one for each entity: ``opens_us``, its first state of the day,
where one of before ends; and ``carried``, the number of its last, which holds on after the day, told at ``carried_us``.
A few thousand rows a day, whatever happens in it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestor.history.aggregate_buckets import DAY_US, HOUR_US
from ingestor.history.disk import digest_of, make_folder, write_whole
from ingestor.history.engine import Engine
from ingestor.history.kept import Kept
from ingestor.history.layout import DataFile
from ingestor.history.mark import own_folder

#: What an hour's row says of its events, beside the hour; an edge says the entity and its device too.
PLACE: Final = ("home", "area_id", "floor_id", "domain", "integration", "kind")
#: A day is rolled up once nothing was written to it for this long.
SETTLED_S: Final = 300.0
#: Rises when what a roll-up says changes: those of before are then made anew.
FORMAT: Final = 1
#: About so many events are looked at together, an entity's all at once.
SLICE_ROWS: Final = 2_000_000
MEMORY_MB: Final = 256
_DATE_CHARS: Final = 10

_PLACE: Final = ", ".join(PLACE)
_TOLD: Final = "({'t': t, 'q': q, 'state': state, 'v': v}) FILTER (state IS NOT NULL)"
_EVENTS: Final = f"""
    SELECT {_PLACE}, entity_id, device_id, epoch_us(time_fired) AS t, seq AS q, state, state_numeric AS v
    FROM SOURCE WHERE hash(entity_id) % ? = ?
"""  # noqa: S608 - our own names; values are bound
_SPELLS: Final = f"""
    SELECT *, lead(t) OVER of_entity AS next_us, row_number() OVER of_entity = 1 AS is_first
    FROM ({_EVENTS}) WHERE kind = 'state' AND entity_id IS NOT NULL
    WINDOW of_entity AS (PARTITION BY home, entity_id ORDER BY t, q)
"""  # noqa: S608 - same
_COUNTS: Final = f"""
    SELECT t // {HOUR_US} * {HOUR_US} AS hour_us, {_PLACE}, count(*) AS n, count(v) AS m, min(v) AS low, max(v) AS high,
        sum(v) AS total, min{_TOLD} AS first, max{_TOLD} AS last
    FROM ({_EVENTS}) GROUP BY ALL
"""  # noqa: S608 - same
_HELD: Final = f"""
    SELECT hour_us, {_PLACE}, sum(held)::BIGINT AS held_us, sum(held * v) AS held_sum FROM (
        SELECT *, least(next_us, hour_us + {HOUR_US}) - greatest(t, hour_us) AS held FROM (
            SELECT * REPLACE (coalesce(next_us, ENDS) AS next_us),
                unnest(range(t // {HOUR_US}, (coalesce(next_us, ENDS) - 1) // {HOUR_US} + 1)) * {HOUR_US} AS hour_us
            FROM ({_SPELLS}) WHERE v IS NOT NULL
        )
    ) GROUP BY ALL HAVING held_us > 0
"""  # noqa: S608 - same
_EDGES: Final = f"""
    SELECT {_PLACE}, entity_id, device_id, opens_us, v AS carried, t AS carried_us FROM (
        SELECT *, min(t) OVER (PARTITION BY home, entity_id) AS opens_us FROM ({_SPELLS})
        WHERE is_first OR next_us IS NULL
    ) WHERE next_us IS NULL
"""  # noqa: S608 - same
_HOURS: Final = f"""
    SELECT hour_us, {_PLACE}, coalesce(sum(n), 0)::BIGINT AS n, coalesce(sum(m), 0)::BIGINT AS m, min(low) AS low,
        max(high) AS high, sum(total) AS total, min(first) AS first, max(last) AS last,
        coalesce(sum(held_us), 0)::BIGINT AS held_us, coalesce(sum(held_sum), 0) AS held_sum
    FROM (FROM counts UNION ALL BY NAME FROM held) GROUP BY ALL ORDER BY home, area_id, hour_us
"""  # noqa: S608 - same


def refresh(
    directory: Path, files: Sequence[DataFile], *, now_s: float | None = None, settled_s: float = SETTLED_S
) -> str | None:
    """Roll up the newest day that is over and has no roll-up of its files. Returns its date; None if all have one.

    At most one day a call: about two seconds of CPU for a million events. Durable on return. Removes roll-ups of this
    day that were made from other files.
    """
    now_s = time.time() if now_s is None else now_s
    today = datetime.fromtimestamp(now_s, UTC).date().isoformat()
    known = {path.name.rpartition("-")[0] for path in _paths(directory)}
    for day, of_day in sorted(_by_date(files).items(), reverse=True):
        if day < today and _name(day, of_day) not in known and _settled(directory, of_day, now_s - settled_s):
            _write(directory, day, of_day)
            return day
    return None


class Damaged(Exception):
    """A roll-up is not what it was when it was written, or is gone. Its day is answered from the rows."""


class Rollups:
    """The roll-ups of one table, as a reader in any thread sees them."""

    def __init__(self, directory: Path, kept: Kept) -> None:
        self._directory, self._kept = directory, kept
        self._lock = threading.Lock()
        self._names: tuple[Any, dict[str, str]] = (None, {})
        self._damaged: set[str] = set()

    def of(self, files: dict[str, DataFile]) -> dict[str, Path]:
        """Return date -> roll-up, of those dates whose files these are."""
        with self._lock:
            if self._names[0] is not files:
                self._names = (files, {_name(day, of_day): day for day, of_day in _by_date(files.values()).items()})
            names = self._names[1]
        found = ((names.get(path.name.rpartition("-")[0]), path) for path in _paths(self._directory))
        return {day: path for day, path in found if day is not None and path.name not in self._damaged}

    def rows(self, paths: Iterable[Path], *, edge: bool) -> Any:
        """Return the hours, or the edges, of these roll-ups. Raises ``Damaged``, and does not name that one again."""
        return pa.concat_tables(
            [
                self._kept.get((path.name, edge), partial(self._read, path, edge=edge), size_of=_bytes_of)
                for path in paths
            ]
        )

    def _read(self, path: Path, *, edge: bool) -> Any:
        try:
            content = path.read_bytes()
            if digest_of(content) == path.stem.rpartition("-")[2]:
                rows = pq.read_table(pa.BufferReader(content)).replace_schema_metadata(None)
                return rows.filter(rows["edge"] if edge else pc.invert(rows["edge"])).combine_chunks()
            fault: Exception | None = None
        except (OSError, pa.ArrowInvalid) as error:
            fault = error
        self._damaged.add(path.name)
        raise Damaged(str(path)) from fault


def _bytes_of(rows: Any) -> int:
    size: int = rows.nbytes
    return size


def day_us(day: str) -> int:
    """Return where a date begins in UTC, the zone of the table's partitions."""
    return (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY_US


def _write(directory: Path, day: str, files: Sequence[DataFile]) -> None:
    engine = Engine(directory, threads=1, memory_mb=MEMORY_MB)
    slices = -(-sum(file.rows for file in files) // SLICE_ROWS)

    def every(statement: str) -> Any:
        asked = statement.replace("SOURCE", engine.files(files)).replace("ENDS", str(day_us(day) + DAY_US))
        return pa.concat_tables([engine.arrow(asked, [slices, number]) for number in range(slices)])

    hours = engine.arrow(_HOURS, counts=every(_COUNTS), held=every(_HELD))
    edges = every(_EDGES)
    schema = pa.unify_schemas([pa.schema([("edge", pa.bool_())]), hours.schema, edges.schema])
    made_of = "\n".join(sorted(file.path for file in files)).encode()
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema.with_metadata({"ha_ingestor.made_of": made_of}), compression="zstd") as writer:
        for edge, rows in ((False, hours), (True, edges)):
            flags = pa.repeat(pa.scalar(edge), len(rows))
            whole = pa.concat_tables(
                [schema.empty_table(), rows.append_column("edge", flags)], promote_options="default"
            )
            writer.write_table(whole)
    content = memoryview(sink.getvalue())
    folder = _folder(directory)
    make_folder(folder)
    written = folder / f"{_name(day, files)}-{digest_of(content)}.parquet"
    write_whole(written, content)
    for path in _paths(directory):
        if path.name.startswith(f"{day}-") and path != written:
            path.unlink(missing_ok=True)


def _folder(directory: Path) -> Path:
    return own_folder(directory) / "rollups"


def _paths(directory: Path) -> Iterator[Path]:
    return _folder(directory).glob("[0-9]*.parquet")


def _name(day: str, files: Iterable[DataFile]) -> str:
    """Return what the name of a day's roll-up begins with."""
    return f"{day}-{digest_of(chr(10).join([str(FORMAT), *sorted(file.path for file in files)]).encode())}"


def _by_date(files: Iterable[DataFile]) -> dict[str, list[DataFile]]:
    ordered = sorted((file for file in files if len(file.date) == _DATE_CHARS), key=lambda file: file.path)
    return {day: list(of_day) for day, of_day in groupby(ordered, lambda file: file.date)}


def _settled(directory: Path, files: Iterable[DataFile], before_s: float) -> bool:
    return all((directory / file.path).stat().st_mtime <= before_s for file in files)
