"""Opening a journal finds all that was acknowledged, cuts off what was torn, and refuses what is damaged."""

from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path

import pytest

from ingestor.errors import JournalCorrupt, JournalError, JournalFailed
from ingestor.journal import FrameKind, JournalReader, JournalWriter, Tally, repair, segments
from ingestor.journal.frames import parse_header
from ingestor.journal.recovery import _is_followed_by_a_later_commit, recover, scan
from ingestor.journal.segments import HEADER_BYTES
from tests.chaos.model_disk import ModelDisk
from tests.ingestor.journal.helpers import (
    check,
    copy,
    crash,
    fill,
    flip,
    last_segment,
    open_writer,
    put,
    read_all,
    segment_files,
    seqs,
)


def test_a_torn_tail_is_found_at_every_byte(memory: Path) -> None:
    """Cut off anywhere in the last two commits, without a mark: all frames before the cut are kept, no more."""
    fill(memory / "j", [[1], [2], [5], [6, 7]])
    path = last_segment(memory / "j")
    ends, whole = _frame_ends(path), path.read_bytes()
    (memory / "j" / "committed").unlink()
    for size in reversed(range(ends[1], ends[-1])):
        path.write_bytes(whole[:size])
        found = recover(memory / "j", shard=0)
        kept = sum(end <= size for end in ends)
        assert found.recovered.frames_kept == kept
        assert found.recovered.bytes_dropped == size - ends[kept - 1]
        assert found.last_seq == [1, 2, 5, 6, 7][kept - 1]
        assert found.tally.received == kept


def test_a_torn_tail_is_cut_off(memory: Path) -> None:
    """What a writer found torn is gone from the disk; readers see the commits before it, and the writer goes on."""
    fill(memory / "whole", [[1], [2], [5], [6, 7]])
    ends = _frame_ends(last_segment(memory / "whole"))
    whole = last_segment(memory / "whole").read_bytes()
    for size in range(ends[1], ends[-1], 61):
        directory = copy(memory / "whole", memory / "torn")
        (directory / "committed").unlink()
        last_segment(directory).write_bytes(whole[:size])
        kept = sum(end <= size for end in ends)
        writer = open_writer(directory)
        assert segment_files(directory)[0].stat().st_size == ends[kept - 1]
        put(writer, 8)
        writer.commit()
        writer.close()
        frames = read_all(directory)
        assert seqs(frames) == [*[1, 2, 5, 6, 7][:kept], 8]
        check(frames)


def test_frames_that_the_disk_lost_are_told(memory: Path) -> None:
    """A file shorter than the commit mark, as a disk leaves it that lied: opened, and the loss is told by its seqs."""
    fill(memory / "whole", [[1], [2], [5]])
    ends = _frame_ends(last_segment(memory / "whole"))
    whole = last_segment(memory / "whole").read_bytes()
    for size in [ends[0], ends[0] + 1, ends[1], ends[1] + 40, ends[1] + 200]:
        for content in [whole[:size], whole[:size].ljust(len(whole), b"\0")]:
            directory = copy(memory / "whole", memory / "torn")
            last_segment(directory).write_bytes(content)
            before = read_all(directory)
            writer = open_writer(directory)
            after = 2 if size >= ends[1] else 1
            assert (writer.recovered.lost_after_seq, writer.recovered.lost_through_seq) == (after, 5)
            writer.close()
            assert seqs(before) == seqs(read_all(directory)) == [1, 2][:after]


def test_every_flipped_byte_is_found(memory: Path) -> None:
    """A flipped bit anywhere is refused by writer and reader; what stands before it is still read, garbage never is."""
    fill(memory / "whole", [[1], [2, 3], [4]])
    ends = _frame_ends(last_segment(memory / "whole"))
    directory = copy(memory / "whole", memory / "flipped")
    path = last_segment(directory)
    for at in range(path.stat().st_size):
        flip(path, at, at % 8)
        with pytest.raises(JournalCorrupt, match=r"\.seg:\d+: .*Restore the file from a backup"):
            recover(directory, shard=0)
        reader = JournalReader(directory)
        before = reader.read() if at >= ends[0] else []
        check(before)
        assert seqs(before) == [seq for seq, end in zip([1, 2, 3, 4], ends, strict=True) if end <= at]
        with pytest.raises(JournalCorrupt, match=path.name):
            reader.read()
        reader.close()
        flip(path, at, at % 8)
    assert seqs(read_all(directory)) == [1, 2, 3, 4]


def test_every_flipped_bit_ends_the_valid_frames_there(memory: Path) -> None:
    """Each bit of a small journal: the frame it lies in is not valid, all before it are, nothing behind counts."""
    fill(memory / "j", [[1], [2]])
    path = last_segment(memory / "j")
    ends, data = _frame_ends(path), bytearray(path.read_bytes())
    segment = segments.load(memory / "j", 1)
    for at in range(len(data)):
        for bit in range(8):
            data[at] ^= 1 << bit
            if at < HEADER_BYTES:
                with pytest.raises(JournalError):
                    segments.parse(path, bytes(data[:HEADER_BYTES]))
            else:
                found = scan(segment, bytes(data))
                assert found.end == (HEADER_BYTES if at < ends[0] else ends[0])
                assert found.fault
            data[at] ^= 1 << bit


def test_a_write_torn_at_sectors_is_found_in_every_way(memory: Path) -> None:
    """Of a commit of two frames any set of sectors came to the disk: a frame is valid only if all of its own did."""
    fill(memory / "j", [[1], [2, 3]])
    path = last_segment(memory / "j")
    ends, whole = _frame_ends(path), path.read_bytes()
    segment = segments.load(memory / "j", 1)
    cuts = [ends[0], *range(ends[0] + 512 - ends[0] % 512, len(whole), 512), len(whole)]
    pieces = list(pairwise(cuts))
    assert len(pieces) > 5
    for there in product((False, True), repeat=len(pieces)):
        data = bytearray(whole[: ends[0]].ljust(len(whole), b"\0"))
        for (begin, end), kept in zip(pieces, there, strict=True):
            data[begin:end] = whole[begin:end] if kept else bytes(end - begin)
        found = scan(segment, bytes(data))
        same = [end for begin, end in pairwise(ends) if data[begin:end] == whole[begin:end]]
        assert found.end == (ends[2] if len(same) == 2 else ends[1] if ends[1] in same else ends[0])
        assert not _is_followed_by_a_later_commit(bytes(data), found.end, segment.epoch)


@pytest.mark.parametrize("gone", range(4))
def test_an_empty_segment_is_refused_and_repaired(memory: Path, gone: int) -> None:
    """A file cut to nothing, whichever, is named; a repair says which seqs are lost, and the journal goes on."""
    fill(memory / "0", [[seq] for seq in range(1, 13)], segment_bytes=4096)
    path = segment_files(memory / "0")[gone]
    path.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(JournalCorrupt, match=rf"{path.name}:0: the segment's header is cut off"):
            open_writer(memory / "0")
    (lost,) = repair(memory / "0", shard=0).lost
    assert lost[0] == int(path.stem)
    writer = open_writer(memory / "0")
    put(writer, 20)
    writer.commit()
    writer.close()
    assert seqs(read_all(memory / "0")) == [*(seq for seq in range(1, 13) if not lost[0] <= seq <= lost[1]), 20]


def test_garbage_behind_the_end_is_cut_off(memory: Path) -> None:
    """Bytes that nobody wrote, also such that look like a frame's beginning, never count and stop nobody."""
    fill(memory / "whole", [[1], [2]])
    data = last_segment(memory / "whole").read_bytes()
    end = _frame_ends(last_segment(memory / "whole"))[0]
    for garbage in (
        b"\0" * 700,
        b"x",
        b"HAJF",
        b"HAJF" * 300,
        data[HEADER_BYTES : HEADER_BYTES + 60],
        data[HEADER_BYTES:end],
    ):
        directory = copy(memory / "whole", memory / "longer")
        last_segment(directory).write_bytes(data + garbage)
        assert seqs(read_all(directory)) == [1, 2]
        writer = open_writer(directory)
        assert writer.recovered.bytes_dropped == len(garbage)
        assert writer.recovered.lost_after_seq is None
        put(writer, 3)
        writer.commit()
        writer.close()
        assert seqs(read_all(directory)) == [1, 2, 3]


def test_a_reader_from_the_oldest_misses_a_first_segment(memory: Path) -> None:
    """Who reads all there is does not take a journal whose beginning is missing for one that was trimmed."""
    fill(memory / "j", [[seq] for seq in range(1, 13)], segment_bytes=4096)
    segment_files(memory / "j")[0].unlink()
    with pytest.raises(JournalCorrupt, match="is missing and was not trimmed"):
        read_all(memory / "j")


def test_every_flipped_byte_is_found_without_the_mark(memory: Path) -> None:
    """With the mark lost as well, damage before the last commit is refused; in the last one it cannot pass as data."""
    fill(memory / "whole", [[1], [2, 3], [4, 5]])
    ends = _frame_ends(last_segment(memory / "whole"))
    size = last_segment(memory / "whole").stat().st_size
    for at in range(0, size, 3):
        directory = copy(memory / "whole", memory / "flipped")
        (directory / "committed").unlink()
        flip(last_segment(directory), at, at % 8)
        if at < ends[2]:
            with pytest.raises(JournalCorrupt):
                open_writer(directory)
            continue
        writer = open_writer(directory)
        assert writer.recovered.bytes_dropped > 0
        writer.close()
        assert seqs(read_all(directory)) == ([1, 2, 3] if at < ends[3] else [1, 2, 3, 4])


def test_every_flipped_byte_of_the_mark_is_harmless(memory: Path) -> None:
    """The mark is only a hint for recovery: nothing is lost with it."""
    fill(memory / "whole", [[1], [2], [3]])
    for at in range(128):
        directory = copy(memory / "whole", memory / "flipped")
        flip(directory / "committed", at, at % 8)
        open_writer(directory).close()
        assert seqs(read_all(directory)) == [1, 2, 3]


def test_a_mark_of_the_wrong_size_is_made_anew(memory: Path) -> None:
    """A mark that is empty, cut off or a folder's worth too long loses nothing."""
    fill(memory / "j", [[1], [2]])
    for content in [b"", b"x" * 40, bytes(4096)]:
        (memory / "j" / "committed").write_bytes(content)
        assert seqs(read_all(memory / "j")) == []
        open_writer(memory / "j").close()
        assert seqs(read_all(memory / "j")) == [1, 2]


@pytest.mark.parametrize("gone", range(4))
def test_a_missing_segment_is_refused(memory: Path, gone: int) -> None:
    """First, middle or last: a segment that nobody trimmed is missed by the writer, and by a reader that needs it."""
    fill(memory / "j", [[seq] for seq in range(1, 13)], segment_bytes=4096)
    files = segment_files(memory / "j")
    assert len(files) == 4
    files[gone].unlink()
    with pytest.raises(JournalCorrupt, match=r"segment with seqs \d+ to \d+ is missing and was not trimmed"):
        open_writer(memory / "j")
    with pytest.raises(JournalCorrupt, match="is missing"):
        read_all(memory / "j", after_seq=0)


def test_a_journal_without_any_segment_is_refused(memory: Path) -> None:
    """All segments gone, the mark still there: refused, and to remove the mark starts from nothing."""
    fill(memory / "j", [[1], [2]])
    for path in segment_files(memory / "j"):
        path.unlink()
    with pytest.raises(JournalCorrupt, match="seqs 1 to 2 is missing"):
        open_writer(memory / "j")


def test_damage_in_a_closed_segment_stops_the_reader_there(memory: Path) -> None:
    """A flipped bit, and a cut at a frame's end, in a segment that is not the last: never silently shorter."""
    fill(memory / "whole", [[seq] for seq in range(1, 10)], segment_bytes=4096)
    first = segment_files(memory / "whole")[0]
    ends = _frame_ends(first)
    directory = copy(memory / "whole", memory / "flipped")
    flip(directory / first.name, ends[0] + 5)
    reader = JournalReader(directory)
    assert seqs(reader.read()) == [1]
    with pytest.raises(JournalCorrupt, match=f"{first.name}:{ends[0]}"):
        reader.read()
    for size in (ends[0], ends[0] + 3, ends[1] - 1):
        directory = copy(memory / "whole", memory / "cut")
        (directory / first.name).write_bytes(first.read_bytes()[:size])
        reader = JournalReader(directory)
        assert seqs(reader.read()) == [1]
        with pytest.raises(JournalCorrupt, match=f"{first.name}:{ends[0]}"):
            reader.read()


def test_an_open_journal_begins_a_new_epoch(memory: Path) -> None:
    """Epochs rise with each open, with and without frames, and empty segments do not pile up."""
    for epoch in range(1, 5):
        writer = open_writer(memory / "j")
        assert writer.epoch == epoch
        crash(writer)
    writer = open_writer(memory / "j")
    put(writer, 1)
    writer.commit()
    crash(writer)
    for epoch in range(6, 9):
        writer = open_writer(memory / "j")
        assert (writer.epoch, writer.last_seq) == (epoch, 1)
        crash(writer)
    assert len(segment_files(memory / "j")) == 2
    assert [frame.epoch for frame in read_all(memory / "j")] == [5]


def test_the_tally_lives_as_long_as_the_shard(memory: Path) -> None:
    """Counts come back after a kill as of the last frame, after a close exactly, and without any frame left."""
    writer = open_writer(memory / "j")
    put(writer, 1, 3)
    writer.commit()
    writer.tally = Tally(received=10, duplicate=7, quarantined=3)
    crash(writer)
    writer = open_writer(memory / "j")
    assert writer.tally == Tally(received=3, quarantined=3)
    writer.tally = Tally(received=10, duplicate=7, quarantined=3)
    writer.close()
    for _ in range(2):
        writer = open_writer(memory / "j")
        assert writer.tally == Tally(received=10, duplicate=7, quarantined=3)
        assert writer.last_seq == 3
        writer.close()
    assert seqs(read_all(memory / "j")) == [1]


def test_bytes_that_nobody_vouches_for_are_written_again(memory: Path) -> None:
    """A complete frame behind the mark is kept, but its bytes are written anew before they are called durable."""
    writer = open_writer(memory / "j")
    put(writer, 1)
    writer.commit()
    put(writer, 2)
    with writer._pending_lock:
        group = b"".join(writer._pending)
    writer._disk.write(writer._fd, group, writer._offset)
    offset = writer._offset
    crash(writer)

    disk = ModelDisk(memory)
    writer = open_writer(memory / "j", disk=disk)
    assert disk.written[0] == (offset, group)
    assert seqs(read_all(memory / "j")) == [1, 2]
    assert writer.last_seq == 2


def test_a_journal_of_another_shard_is_refused(memory: Path) -> None:
    """A folder put in the wrong place is not written to."""
    fill(memory / "j", [[1]])
    with pytest.raises(JournalError, match="belongs to shard 0, not 3"):
        JournalWriter.open(memory / "j", shard=3, segment_bytes=4096)


def test_a_renamed_segment_is_refused(memory: Path) -> None:
    """A segment's name is part of its content."""
    fill(memory / "j", [[1]])
    last_segment(memory / "j").rename(memory / "j" / f"{7:020d}.seg")
    with pytest.raises(JournalCorrupt, match="was renamed from 00000000000000000001"):
        open_writer(memory / "j")


def test_frames_out_of_order_are_refused(memory: Path) -> None:
    """Seqs only rise, and an empty frame is nothing."""
    writer = open_writer(memory / "j")
    put(writer, 5, 2)
    for first in (6, 5, 1, 0):
        with pytest.raises(JournalError, match="cannot follow seq 6"):
            put(writer, first)
    with pytest.raises(JournalError, match="0 rows"):
        put(writer, 9, 0)
    put(writer, 7, kind=FrameKind.EVENTS)
    writer.commit()
    writer.close()
    writer.close()
    with pytest.raises(JournalError, match="is closed"):
        put(writer, 8)
    check(read_all(memory / "j"))


def test_files_are_private(memory: Path) -> None:
    """Nobody but the user may read the journal."""
    fill(memory / "a" / "b", [[1]])
    assert (memory / "a").stat().st_mode & 0o777 == (memory / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (memory / "a" / "b").iterdir()} == {0o600}


def test_a_place_that_cannot_be_written_is_named(memory: Path) -> None:
    """The error names the path, the fault and the next step."""
    (memory / "file").write_text("")
    with pytest.raises(JournalFailed, match=r"file/0: cannot be written: .*Check the disk"):
        open_writer(memory / "file" / "0")


def _frame_ends(path: Path) -> list[int]:
    data = path.read_bytes()
    ends, at = [], HEADER_BYTES
    while at < len(data):
        at += parse_header(data, at).frame_bytes
        ends.append(at)
    return ends
