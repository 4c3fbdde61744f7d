"""Hours of days that are over, summed up by entity: what makes a month of hourly answers cheap.

A roll-up is derived and never relied on. Its name holds the digest of the data files it was made from and the digest of
its own content: a day whose files are others by now, or a roll-up with a bit turned, is answered from the rows.

For each hour and each entity, as it stood (area, device and so on), a row holds what its events sum up to. States hold
until the next one of the entity: ``held_us`` and ``held_sum`` weigh the numbers within the hour; the row with the last
state of the hour ``carries`` it on. ``opens_us`` is the first state, where one that was carried in ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from ingestor.history.aggregate_buckets import DAY_US, HOUR_US
from ingestor.history.disk import digest_of, digest_of_file, make_folder, write_whole
from ingestor.history.engine import Engine
from ingestor.history.layout import DataFile
from ingestor.history.mark import own_folder

#: What a row says of the entity, beside its hour.
KEYS: Final = ("home", "entity_id", "device_id", "area_id", "floor_id", "domain", "integration", "kind")
#: A day is rolled up once nothing was written to it for this long.
SETTLED_S: Final = 300.0
#: Rises when what a roll-up says changes: those of before are then made anew.
FORMAT: Final = 1
#: About so many events are looked at together.
SLICE_ROWS: Final = 2_000_000
MEMORY_MB: Final = 256
_DATE_CHARS: Final = 10

_STATEMENT: Final = f"""
WITH events AS (
    SELECT {", ".join(KEYS)}, epoch_us(time_fired) AS t, seq AS q, state, state_numeric AS v,
           epoch_us(time_fired) // {HOUR_US} * {HOUR_US} AS hour_us, kind = 'state' AND entity_id IS NOT NULL AS holds
    FROM {{source}} WHERE time_fired >= make_timestamptz(?::BIGINT) AND time_fired < make_timestamptz(?::BIGINT)
), spans AS (
    SELECT *, lead(t) OVER following AS next_us FROM events WHERE holds
    WINDOW following AS (PARTITION BY home, entity_id, hour_us ORDER BY t, q)
    UNION ALL BY NAME SELECT * FROM events WHERE NOT holds
), timed AS (
    SELECT *, holds AND next_us IS NULL AS is_last, coalesce(next_us, hour_us + {HOUR_US}) - t AS held FROM spans
)
SELECT hour_us, {", ".join(KEYS)}, count(*) AS n, count(v) AS m, min(v) AS low, max(v) AS high, sum(v) AS total,
    min({{{{'t': t, 'q': q, 'state': state, 'v': v}}}}) FILTER (state IS NOT NULL) AS first,
    max({{{{'t': t, 'q': q, 'state': state, 'v': v}}}}) FILTER (state IS NOT NULL) AS last,
    coalesce(sum(held) FILTER (holds AND v IS NOT NULL), 0)::BIGINT AS held_us,
    coalesce(sum(held * v) FILTER (holds AND v IS NOT NULL), 0) AS held_sum,
    bool_or(is_last) AS carries, max(v) FILTER (is_last) AS carried, max(t) FILTER (is_last) AS carried_us,
    min(t) FILTER (holds) AS opens_us
FROM timed GROUP BY ALL ORDER BY home, area_id, entity_id, hour_us
"""  # noqa: S608 - our own names; values are bound


def refresh(
    directory: Path, files: Sequence[DataFile], *, now_s: float | None = None, settled_s: float = SETTLED_S
) -> str | None:
    """Roll up the newest day that is over and has no roll-up of its files. Returns its date; None if all have one.

    At most one day a call: about a second of CPU for a million events. Durable on return. Removes roll-ups of this day
    that were made from other files.
    """
    now_s = time.time() if now_s is None else now_s
    today = datetime.fromtimestamp(now_s, UTC).date().isoformat()
    known = {path.name.rpartition("-")[0] for path in _paths(directory)}
    for day, of_day in sorted(_by_date(files).items(), reverse=True):
        if day < today and _name(day, of_day) not in known and _settled(directory, of_day, now_s - settled_s):
            _write(directory, day, of_day)
            return day
    return None


class Rollups:
    """The roll-ups of one table, as a reader in any thread sees them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._sound: dict[tuple[Any, ...], bool] = {}
        self._names: tuple[Any, dict[str, str]] = (None, {})

    def of(self, files: dict[str, DataFile]) -> dict[str, Path]:
        """Return date -> roll-up, of those dates whose files these are. Its digest was seen to be right."""
        with self._lock:
            if self._names[0] is not files:
                self._names = (files, {_name(day, of_day): day for day, of_day in _by_date(files.values()).items()})
            names = self._names[1]
            found = ((names.get(path.name.rpartition("-")[0]), path) for path in _paths(self._directory))
            return {day: path for day, path in found if day is not None and self._is_sound(path)}

    def distrust(self) -> None:
        """Look at every roll-up anew before it is used again."""
        with self._lock:
            self._sound = {}

    def _is_sound(self, path: Path) -> bool:
        with suppress(OSError):
            stat = path.stat()
            key = (path.name, stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if key not in self._sound:
                self._sound[key] = digest_of_file(path) == path.stem.rpartition("-")[2]
            return self._sound[key]
        return False


def day_us(day: str) -> int:
    """Return where a date begins in UTC, the zone of the table's partitions."""
    return (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY_US


def _write(directory: Path, day: str, files: Sequence[DataFile]) -> None:
    engine = Engine(directory, threads=1, memory_mb=MEMORY_MB)
    slices = min(24, -(-sum(file.rows for file in files) // SLICE_ROWS))
    hours = [day_us(day) + HOUR_US * (24 * number // slices) for number in range(slices + 1)]
    statement = _STATEMENT.format(source=engine.files(files))
    parts = [engine.arrow(statement, [begin, end]) for begin, end in pairwise(hours)]
    sink = pa.BufferOutputStream()
    made_of = {b"ha_ingestor.made_of": "\n".join(sorted(file.path for file in files)).encode()}
    rows = pa.concat_tables(parts)
    pq.write_table(rows.replace_schema_metadata(made_of), sink, compression="zstd", row_group_size=16_384)
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
