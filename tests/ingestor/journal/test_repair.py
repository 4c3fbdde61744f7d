"""A repair keeps every frame that is whole, says which seqs are gone, and leaves a journal that opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestor.errors import JournalError, JournalFailed
from ingestor.journal import JournalReader, repair
from ingestor.journal.__main__ import main
from ingestor.journal.frames import parse_header
from ingestor.journal.segments import HEADER_BYTES
from tests.ingestor.journal.disks import FailingDisk
from tests.ingestor.journal.helpers import check, copy, fill, flip, open_writer, put, read_all, segment_files, seqs


def _journal(directory: Path) -> Path:
    fill(directory, [[seq] for seq in range(1, 13)], segment_bytes=4096)
    assert len(segment_files(directory)) == 4
    return directory


def _spans(directory: Path) -> list[tuple[int, int]]:
    starts = [int(path.stem) for path in segment_files(directory)]
    return list(zip(starts, [*(start - 1 for start in starts[1:]), 12], strict=True))


def test_a_damaged_frame_is_given_up_alone(memory: Path) -> None:
    """A flipped bit in one frame costs that frame, in whatever segment, and nothing beside it."""
    whole = _journal(memory / "0")
    for file in segment_files(whole):
        for number in range(2):
            directory = copy(whole, memory / "1" / "0")
            data = file.read_bytes()
            at = HEADER_BYTES
            for _ in range(number):
                at += parse_header(data, at).frame_bytes
            header = parse_header(data, at)
            flip(directory / file.name, at + 100)
            done = repair(directory, shard=0)
            assert done.lost == [(header.first_seq, header.last_seq)]
            assert done.frames_kept == 11
            _usable(directory, [seq for seq in range(1, 13) if seq != header.first_seq])
            assert (done.set_aside / file.name).read_bytes() != data


def test_a_missing_segment_is_told(memory: Path) -> None:
    """A segment that is gone, whichever, costs its seqs and no others."""
    whole = _journal(memory / "0")
    for number, (first, last) in enumerate(_spans(whole)):
        directory = copy(whole, memory / "1" / "0")
        segment_files(directory)[number].unlink()
        assert repair(directory, shard=0).lost == [(first, last)]
        _usable(directory, [seq for seq in range(1, 13) if not first <= seq <= last])


def test_a_broken_segment_header_costs_nothing(memory: Path) -> None:
    """Frames speak for themselves."""
    whole = _journal(memory / "0")
    for file in segment_files(whole):
        directory = copy(whole, memory / "1" / "0")
        flip(directory / file.name, 50)
        assert repair(directory, shard=0).lost == []
        _usable(directory, list(range(1, 13)))


def test_a_sound_journal_stays_as_it_is(memory: Path) -> None:
    """A needless repair loses nothing, any number of times."""
    directory = _journal(memory / "0")
    for _ in range(3):
        done = repair(directory, shard=0)
        assert (done.frames_kept, done.lost) == (12, [])
    _usable(directory, list(range(1, 13)))


def test_a_repair_cut_short_can_be_repeated(memory: Path) -> None:
    """After a failure at any operation, the next repair gives the same."""
    whole = _journal(memory / "0")
    flip(segment_files(whole)[1], HEADER_BYTES + 100)
    lost = _spans(whole)[1][0]
    operation = 0
    while True:
        operation += 1
        directory = copy(whole, memory / "1" / "0")
        try:
            repair(directory, shard=0, disk=FailingDisk(operation))
        except JournalFailed:
            repair(directory, shard=0)
            _usable(directory, [seq for seq in range(1, 13) if seq != lost])
            continue
        break
    assert operation > 10


def test_the_command_says_what_is_lost(memory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command named in the errors repairs and answers in plain lines; a wrong place is an error in words."""
    directory = _journal(memory / "0")
    first, last = _spans(directory)[1]
    segment_files(directory)[1].unlink()
    assert main(["repair", str(directory)]) == 0
    assert f"lost: seqs {first} to {last}" in capsys.readouterr().out
    (memory / "7").mkdir()
    assert main(["repair", str(memory / "7")]) == 1
    assert "holds no journal to repair" in capsys.readouterr().err
    with pytest.raises(JournalError, match="holds no journal"):
        repair(memory / "nowhere", shard=0)


def _usable(directory: Path, expected: list[int]) -> None:
    assert seqs(read_all(directory)) == expected
    writer = open_writer(directory)
    assert writer.recovered.bytes_dropped == 0
    assert writer.tally.received >= len(expected)
    put(writer, 50)
    writer.commit()
    writer.close()
    frames = read_all(directory)
    assert seqs(frames) == [*expected, 50]
    check(frames)
    assert JournalReader(directory).committed_seq() == 50
