"""Start-up scrub and verification: what is damaged above the durable mark is dropped, below it is named and refused.

A commit above the mark was not yet relied on: the journal still has its rows. So a torn commit, or one whose files are
missing or altered, is removed with all that follow it. A whole one is written anew, because a file whose sync failed
may look whole and not be on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ingestor.errors import HistoryCorrupt, HistoryError
from ingestor.history import log
from ingestor.history.disk import digest_of_file, sync, write_whole
from ingestor.history.layout import DataFile
from ingestor.history.log import RESTORE
from ingestor.history.mark import Mark, mark_path, read_mark, write_mark


@dataclass(slots=True, kw_only=True)
class Scrubbed:
    """What a start found. ``dropped`` are sentences; ``orphans`` counts files that no commit had claimed."""

    dropped: list[str] = field(default_factory=list)
    adopted: int = 0
    orphans: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One file that is not what it must be."""

    path: str
    fault: str


def scrub(directory: Path) -> tuple[log.LogState, Scrubbed]:
    """Make the table whole before its writer opens it. Only the writer may call this.

    Costs a stat per data file, and a read of each file that was written after the mark. Raises ``HistoryCorrupt``.
    """
    report = Scrubbed()
    mark = read_mark(directory)
    for damage in _log_damage(directory, mark):
        raise HistoryCorrupt(damage.path, f"{damage.fault}. {RESTORE}")
    if mark is None and (
        len(log.versions_in(directory, ".json")) > 1 or log.versions_in(directory, ".checkpoint.parquet")
    ):
        mark = _mark_again(directory, report)
    trusted = mark.version if mark else -1
    _drop_checkpoints(directory, mark)
    state = _climb(directory, trusted, report)
    for file in state.files.values():
        if lacking := _size_damage(directory, file):
            raise HistoryCorrupt(lacking.path, f"{lacking.fault}. {RESTORE}")
    report.orphans = _remove_orphans(directory, state)
    if state.version >= 0 and (mark is None or state.version != mark.version):
        write_mark(directory, mark_of(directory, state, mark))
    return state, report


def mark_of(directory: Path, state: log.LogState, before: Mark | None) -> Mark:
    """Return the mark for a state whose files are all on disk. Digests only log files that ``before`` does not know."""
    checkpoints = [version for version in log.versions_in(directory, ".checkpoint.parquet") if version <= state.version]
    first = checkpoints[-1] + 1 if checkpoints else 0
    needed = [log.checkpoint_path(directory, checkpoints[-1])] if checkpoints else []
    needed += [log.commit_path(directory, version) for version in range(first, state.version + 1)]
    known = before.log if before else {}
    digests = {path.name: known.get(path.name) or digest_of_file(path) for path in needed}
    return Mark(version=state.version, watermarks=state.watermarks, log=digests)


def verify(directory: Path) -> list[Damage]:
    """Read every byte the table relies on and compare it with its digest. Finds every flipped bit. Changes nothing."""
    damages: list[Damage] = []
    try:
        damages += _log_damage(directory, read_mark(directory))
    except HistoryCorrupt as error:
        damages.append(Damage(path=error.thing, fault=error.fault))
    try:
        state = log.load_whole_part(directory)
    except HistoryCorrupt as error:
        return [*damages, Damage(path=error.thing, fault=error.fault)]
    for file in state.files.values():
        damage = _size_damage(directory, file) or _digest_damage(directory, file)
        if damage:
            damages.append(damage)
    return damages


def blame(directory: Path, files: Iterable[DataFile], fault: str) -> HistoryError:
    """Word that an answer met ``fault``: name the file that is damaged, as far as a look at each finds it."""
    for file in files:
        damage = _size_damage(directory, file)
        if damage is None and file.path in fault:
            damage = _digest_damage(directory, file)
        if damage:
            return HistoryCorrupt(damage.path, f"{damage.fault}. {RESTORE}")
    return HistoryError(
        str(directory),
        f"cannot be read: {fault}. `python -m ingestor.history verify {directory}` says more",
    )


def _mark_again(directory: Path, report: Scrubbed) -> Mark:
    """Make the mark anew after it was lost. Trusts nothing: reads every byte of the table first."""
    state = log.load_whole_part(directory)
    newest = max(log.versions_in(directory, ".json"), default=-1)
    damages = verify(directory)
    if state.version < newest:
        damages.append(Damage(path=str(log.commit_path(directory, state.version + 1)), fault="is torn or missing"))
    for damage in damages:
        raise HistoryCorrupt(damage.path, f"{damage.fault}. {RESTORE}")
    report.dropped.append(f"{mark_path(directory)} was missing: all {len(state.files)} files were read and found sound")
    mark = mark_of(directory, state, None)
    write_mark(directory, mark)
    return mark


def _log_damage(directory: Path, mark: Mark | None) -> Iterator[Damage]:
    if mark is None:
        return
    for name, digest in mark.log.items():
        path = log.log_folder(directory) / name
        try:
            found = digest_of_file(path)
        except FileNotFoundError:
            yield Damage(path=str(path), fault="is missing, and the table cannot be read without it")
            continue
        if found != digest:
            yield Damage(path=str(path), fault="was altered after it was written: its digest differs")


def _drop_checkpoints(directory: Path, mark: Mark | None) -> None:
    """Remove checkpoints that were not yet synced when the writer ended, and a hint at one: the log says the same."""
    known = mark.log if mark else {}
    relied_on = [name for name in known if name.endswith(".checkpoint.parquet")]
    oldest_needed = int(relied_on[0][:20]) if relied_on else -1
    for version in log.versions_in(directory, ".checkpoint.parquet"):
        if version > oldest_needed:
            log.checkpoint_path(directory, version).unlink()
    if log.summed_up_to(directory) != oldest_needed:
        log.hint_path(directory).unlink(missing_ok=True)


def _climb(directory: Path, trusted: int, report: Scrubbed) -> log.LogState:
    versions = log.versions_in(directory, ".json")
    state = _up_to(directory, trusted)
    for version in [version for version in versions if version > trusted]:
        fault = _commit_fault(directory, version, state)
        if fault is None:
            actions = log.read_commit(directory, version) or []
            _write_anew(directory, version, actions)
            state = log.apply(state, actions)
            report.adopted += 1
            continue
        for lost in reversed([later for later in versions if later >= version]):
            log.commit_path(directory, lost).unlink()
            report.dropped.append(f"commit {lost}: {fault if lost == version else 'follows a damaged commit'}")
        report.dropped.reverse()
        sync(log.log_folder(directory))
        break
    return state


def _up_to(directory: Path, trusted: int) -> log.LogState:
    if trusted < 0:
        return log.LogState()
    checkpoints = [version for version in log.versions_in(directory, ".checkpoint.parquet") if version <= trusted]
    return log.load_until(directory, checkpoints[-1] if checkpoints else None, trusted)


def _commit_fault(directory: Path, version: int, state: log.LogState) -> str | None:
    if version != state.version + 1:
        return f"commit {state.version + 1} before it is missing"
    actions = log.read_commit(directory, version)
    if actions is None:
        return "is torn"
    try:
        files = log.apply(state, actions).files
    except HistoryCorrupt as error:
        return str(error)
    for file in files.values():
        if file.path not in state.files and (
            damage := _size_damage(directory, file) or _digest_damage(directory, file)
        ):
            return f"{file.path} {damage.fault}"
    return None


def _write_anew(directory: Path, version: int, actions: list[dict[str, object]]) -> None:
    for action in actions:
        added = action.get("add")
        if isinstance(added, dict):
            path = directory / added["path"]
            write_whole(path, path.read_bytes())
            sync(directory)
    path = log.commit_path(directory, version)
    write_whole(path, path.read_bytes())
    sync(directory)


def _size_damage(directory: Path, file: DataFile) -> Damage | None:
    path = directory / file.path
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return Damage(path=str(path), fault="is missing")
    if size != file.size_bytes:
        return Damage(path=str(path), fault=f"has {size} bytes and must have {file.size_bytes}")
    return None


def _digest_damage(directory: Path, file: DataFile) -> Damage | None:
    if digest_of_file(directory / file.path) != file.digest:
        return Damage(path=str(directory / file.path), fault="was altered after it was written: its digest differs")
    return None


def check(directory: Path, file: DataFile) -> None:
    """Raise ``HistoryCorrupt`` if a bit of the file has changed, or it is gone."""
    if damage := _size_damage(directory, file) or _digest_damage(directory, file):
        raise HistoryCorrupt(damage.path, f"{damage.fault}. {RESTORE}")


def unclaimed(directory: Path, state: log.LogState) -> Iterator[Path]:
    """Yield data files and drafts that the table does not consist of."""
    for path in directory.glob("date=*/*"):
        if path.is_file() and path.relative_to(directory).as_posix() not in state.files:
            yield path


def _remove_orphans(directory: Path, state: log.LogState) -> int:
    """Remove what no commit claims: data files, and the drafts of a writer that was killed, Delta's and ours."""
    count = 0
    for draft in log.log_folder(directory).glob("*#*"):
        draft.unlink()
        count += 1
    for path in unclaimed(directory, state):
        if path.relative_to(directory).as_posix() not in state.removed:
            path.unlink()
            count += 1
    mark_path(directory).with_name(f".{mark_path(directory).name}.draft").unlink(missing_ok=True)
    return count
