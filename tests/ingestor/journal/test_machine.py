"""In any order of appends, commits, deaths, power cuts, rotations, reads and trims, the journal is a list of frames."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ingestor.errors import JournalFailed
from ingestor.journal import FrameKind, JournalFollower, JournalReader, JournalWriter, trim
from tests.chaos.model_disk import Killed, ModelDisk, put_down
from tests.ingestor.journal.helpers import check, crash, open_writer, put, read_all, seqs


class JournalMachine(RuleBasedStateMachine):
    """The model: seqs appended and not committed, seqs committed, and how far a reader and a follower came."""

    @initialize()
    def begin(self) -> None:
        shared = Path("/dev/shm")  # noqa: S108 - a private folder is made inside
        self.folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
        self.root = self.folder / "0"
        self.root.mkdir()
        self.disk = ModelDisk(self.root, contents=4)
        self.pending: list[int] = []
        self.committed: list[int] = []
        self.events: list[int] = []
        self.trimmed = self.read_through = self.seq = self.epoch = self.cuts = 0
        self.followed = 0
        self.writer: JournalWriter
        self._open()
        self._look_anew()

    @property
    def directory(self) -> Path:
        return self.root / "journal" / "0"

    @rule(hole=st.integers(0, 3), kind=st.sampled_from(FrameKind))
    def append(self, hole: int, kind: FrameKind) -> None:
        self.seq += 1 + hole
        put(self.writer, self.seq, kind=kind)
        self.pending.append(self.seq)
        if kind is FrameKind.EVENTS:
            self.events.append(self.seq)

    @rule()
    def commit(self) -> None:
        self.writer.commit()
        self._acknowledge()

    @rule()
    def close_and_open(self) -> None:
        self.writer.close()
        self._acknowledge()
        self._open()

    @rule(changes=st.integers(1, 9), again=st.integers(0, 9), choice=st.none() | st.integers(0, 2**32))
    def die(self, changes: int, again: int, choice: int | None) -> None:
        """Be killed in a commit, and perhaps in the recovery after it; with a ``choice`` the power is gone as well."""
        self.disk.kill_after = changes
        try:
            self.writer.commit()
            self._acknowledge()
        except Killed:
            pass
        self._fall(choice)
        self.disk.kill_after = again
        try:
            self._open()
        except Killed:
            self._fall(choice)
            self._open()
        self.disk.kill_after = 0

    @precondition(lambda self: self.pending)
    @rule(choice=st.none() | st.integers(0, 2**32))
    def meet_a_failing_sync(self, choice: int | None) -> None:
        self.disk.fail_sync = 1
        with pytest.raises(JournalFailed):
            self.writer.commit()
        self._fall(choice)
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
    def follow(self) -> None:
        """Be told of each event once, or that some were missed."""
        news = self.follower.news()
        told = seqs(news.frames)
        expected = [seq for seq in self.committed if seq > self.followed and seq in self.events]
        assert told == expected or (news.overtaken and told == expected[: len(told)])
        self.followed = max(self.committed, default=0)

    @rule()
    def follow_anew(self) -> None:
        """Go on from the same position with a new reader, as after a restart."""
        self._look_anew()

    @precondition(lambda self: self.read_through > self.trimmed)
    @rule()
    def trim(self) -> None:
        trim(self.directory, through_seq=self.read_through, keep_s=0, clock=lambda: 4e9, disk=self.disk)
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

    def _fall(self, choice: int | None) -> None:
        """End the process; with a ``choice`` of what is left, the machine."""
        if hasattr(self, "writer"):
            crash(self.writer)
        if choice is None:
            return
        state = self.disk.a_state(random.Random(choice))  # noqa: S311 - Hypothesis chooses
        self.cuts += 1
        before, self.root = self.root, self.folder / str(self.cuts)
        put_down(state, self.root)
        shutil.rmtree(before)
        self.disk = ModelDisk(self.root, contents=4)
        self._look_anew()

    def _open(self) -> None:
        """Recover: all that was committed is there, and of what was pending the first ones or none."""
        self.writer = open_writer(self.directory, segment_bytes=2000, disk=self.disk)
        assert self.writer.epoch > self.epoch
        self.epoch = self.writer.epoch
        self.committed += [seq for seq in self.pending if seq <= self.writer.last_seq]
        self.pending = []
        assert self.writer.last_seq == max(self.committed, default=0)
        assert self.writer.recovered.lost_after_seq is None

    def _look_anew(self) -> None:
        self.reader = JournalReader(self.directory, after_seq=self.read_through)
        self.follower = JournalFollower(self.directory.parent, from_now=True)
        self.followed = self.follower._readers[0].position if self.follower._readers else 0


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
