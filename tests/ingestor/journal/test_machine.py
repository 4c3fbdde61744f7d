"""In whatever order of appends, commits, crashes, rotations, reads and trims, the journal is a list of frames."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ingestor.journal import JournalReader, JournalWriter, trim
from tests.ingestor.journal.helpers import check, crash, last_segment, open_writer, put, read_all, seqs


class JournalMachine(RuleBasedStateMachine):
    """The model: seqs appended and not committed, seqs committed, and how far a reader came."""

    @initialize()
    def begin(self) -> None:
        shared = Path("/dev/shm")  # noqa: S108 - a private folder is made inside
        self.folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
        self.directory = self.folder / "j"
        self.pending: list[int] = []
        self.committed: list[int] = []
        self.trimmed = self.read_through = self.seq = 0
        self.epoch = 0
        self.reader = JournalReader(self.directory, after_seq=0)
        self.writer: JournalWriter
        self._open()

    @rule(hole=st.integers(0, 3))
    def append(self, hole: int) -> None:
        self.seq += 1 + hole
        put(self.writer, self.seq)
        self.pending.append(self.seq)

    @rule()
    def commit(self) -> None:
        self.writer.commit()
        self._acknowledge()

    @rule()
    def close_and_open(self) -> None:
        self.writer.close()
        self._acknowledge()
        self._open()

    @rule(written=st.floats(0, 1))
    def kill(self, written: float) -> None:
        """Die before, in the middle of, or after the write of what is pending, before it was acknowledged."""
        group = b"".join(self.writer._pending)
        ends, end = [], 0
        for frame in self.writer._pending:
            end += len(frame)
            ends.append(end)
        path = last_segment(self.directory)
        size = int(len(group) * written)
        path.write_bytes(path.read_bytes() + group[:size])
        crash(self.writer)
        kept = [seq for seq, end in zip(self.pending, ends, strict=True) if end <= size]
        self.committed += kept
        self.pending = []
        self._open()

    @rule(frames=st.integers(1, 5))
    def read(self, frames: int) -> None:
        found = self.reader.read(max_frames=frames)
        check(found)
        expected = [seq for seq in self.committed if seq > self.read_through][:frames]
        assert seqs(found) == expected
        if expected:
            self.read_through = expected[-1]
        assert self.reader.position == self.read_through

    @rule()
    def follow_anew(self) -> None:
        """Go on from the same position with a new reader, as after a restart."""
        self.reader = JournalReader(self.directory, after_seq=self.read_through)

    @precondition(lambda self: self.read_through > self.trimmed)
    @rule()
    def trim(self) -> None:
        trim(self.directory, through_seq=self.read_through, keep_s=0, clock=lambda: 4e9)
        self.trimmed = JournalReader(self.directory).trimmed_through
        assert self.trimmed <= self.read_through

    @invariant()
    def all_committed_is_there(self) -> None:
        """Who reads from the oldest gets all that was committed and not trimmed, and nothing else."""
        assert seqs(read_all(self.directory)) == [seq for seq in self.committed if seq > self.trimmed]
        assert self.writer.tally.received == len(self.committed) + len(self.pending)

    def teardown(self) -> None:
        if hasattr(self, "writer"):
            self.writer.close()
            shutil.rmtree(self.folder)

    def _acknowledge(self) -> None:
        self.committed += self.pending
        self.pending = []

    def _open(self) -> None:
        self.writer = open_writer(self.directory, segment_bytes=2000)
        assert self.writer.epoch == self.epoch + 1
        self.epoch += 1
        assert self.writer.last_seq == max(self.committed, default=0)
        assert self.writer.recovered.lost_after_seq is None


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
