"""Which files to merge, so that a question touches few of them. Only files of one date are ever merged.

While a date lasts its small files become one, and the newest stays apart: a question for the newest events reads the
files that end last, and were they merged at once, each such question would read a whole day. A date that is over is cut
into at most four spans of time, and in each of them an entity stands in one file: few for one entity over a day, and
for all events of an hour not the whole day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from ingestor.history.layout import DataFile

#: A merged file has about this many rows; one with half as many is no longer small.
TARGET_ROWS = 262_144
#: A date that is over is merged once nothing came for this long.
SETTLED_S = 3_600.0
#: A date that is over is cut into so many spans of time, if it is long enough.
SPANS = 4
#: So many files one entity may stand in: on a date that is over, and on one that lasts.
RUNS_OVER, RUNS_TODAY = SPANS + 1, 64
#: So many runs are merged at once, for a row group of each is in memory; and so many if all of them are small.
MERGED_RUNS, MOST_RUNS = 16, 256


def groups(files: Sequence[DataFile], directory: Path, now_s: float, most: int) -> Iterator[list[DataFile]]:
    """Yield groups of files to merge, each of one date."""
    today = datetime.fromtimestamp(now_s, UTC).date().isoformat()
    for date, listed in groupby(sorted(files, key=lambda file: (file.date, file.max_us, file.path)), _date):
        of_date = list(listed)
        small = [file for file in of_date if file.rows < TARGET_ROWS // 2]
        if date < today and all(_age_s(directory, file, now_s) > SETTLED_S for file in small):
            yield from _over(of_date)
        elif len(small) > most:
            yield from _filled([[file] for file in small[:-1]], TARGET_ROWS)
        elif len(of_date) > RUNS_TODAY and len(runs := runs_of(of_date[:-1])) > RUNS_TODAY:
            yield from _filled(runs, _rows(of_date))


def runs_of(files: Sequence[DataFile]) -> list[list[DataFile]]:
    """Cut files into runs in which, but for a file's last one, an entity stands in one file. By time."""
    runs: list[list[DataFile]] = []
    for file in sorted(files, key=lambda file: (file.min_entity or "", file.max_entity or "", file.max_us)):
        run = next((run for run in runs if (run[-1].max_entity or "") <= (file.min_entity or "")), None)
        if run is None or file.min_entity is None:
            runs.append([file])
        else:
            run.append(file)
    return sorted(runs, key=lambda run: max(file.max_us for file in run))


def _over(of_date: list[DataFile]) -> Iterator[list[DataFile]]:
    rows = _rows(of_date)
    if rows <= TARGET_ROWS:
        yield from _filled([[file] for file in of_date], TARGET_ROWS)
    elif len(runs := runs_of(of_date)) > RUNS_OVER:
        yield from _filled(runs, max(TARGET_ROWS, rows // SPANS))


def _filled(runs: Sequence[list[DataFile]], most_rows: int) -> Iterator[list[DataFile]]:
    """Put neighbours in time together, as many as may be."""
    group: list[DataFile] = []
    members = 0
    for run in runs:
        most_runs = MERGED_RUNS if _rows(group) > TARGET_ROWS else MOST_RUNS
        if _rows(group) + _rows(run) > most_rows or members == most_runs:
            if members > 1:
                yield group
            group, members = [], 0
        group, members = [*group, *run], members + 1
    if members > 1:
        yield group


def _rows(files: Sequence[DataFile]) -> int:
    return sum(file.rows for file in files)


def _date(file: DataFile) -> str:
    return file.date


def _age_s(directory: Path, file: DataFile, now_s: float) -> float:
    return now_s - (directory / file.path).stat().st_mtime
