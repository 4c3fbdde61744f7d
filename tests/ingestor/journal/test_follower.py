"""Who follows all journals gets each event once, in order per shard, or is told that some were missed."""

from __future__ import annotations

from pathlib import Path

from ingestor.journal import FrameKind, JournalFollower, JournalWriter, Tally, trim
from tests.support.rows import make_events


def write(journals: Path, shard: int, first_seq: int, *, frames: int = 1, segment_bytes: int = 1 << 20) -> None:
    writer = JournalWriter.open(journals / str(shard), shard=shard, segment_bytes=segment_bytes)
    for number in range(first_seq, first_seq + frames):
        rows = make_events(1, first_seq=number)
        writer.append(FrameKind.EVENTS, rows, first_seq=number, last_seq=number, tally=Tally())
        writer.commit()
    writer.close()


def seqs(follower: JournalFollower) -> list[tuple[int, int]]:
    return [(frame.shard, frame.last_seq) for frame in follower.news().frames]


def test_from_now_on_only_what_comes_is_told_and_from_a_new_shard_all(tmp_path: Path) -> None:
    """What stood there is skipped; a shard that was not there yet is read from its first event."""
    write(tmp_path, 0, 1)
    follower = JournalFollower(tmp_path, from_now=True)
    assert seqs(follower) == []
    write(tmp_path, 0, 2)
    write(tmp_path, 1, 3)
    assert seqs(follower) == [(0, 2), (1, 3)]
    assert seqs(follower) == []


def test_from_the_beginning_everything_kept_is_told(tmp_path: Path) -> None:
    """For who must know the past too."""
    write(tmp_path, 0, 1, frames=3)
    assert seqs(JournalFollower(tmp_path, from_now=False)) == [(0, 1), (0, 2), (0, 3)]


def test_who_is_overtaken_by_a_trim_is_told_and_goes_on(tmp_path: Path) -> None:
    """Segments vanish before they were read: the next look says so, and the one after that works."""
    write(tmp_path, 0, 1)
    follower = JournalFollower(tmp_path, from_now=False)
    assert seqs(follower) == [(0, 1)]
    write(tmp_path, 0, 2, frames=40, segment_bytes=4096)
    assert trim(tmp_path / "0", through_seq=40, keep_s=0.0)
    news = [follower.news(), follower.news()]
    assert any(each.overtaken for each in news)
    write(tmp_path, 0, 100)
    assert seqs(follower)[-1] == (0, 100)
