"""What every metadata store has to pass. A test module subclasses ``MetadataContract`` and says how to open one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from ingestor.errors import QueryError
from ingestor.metadata import Metadata
from tests.support.rows import START_US, make_quarantined

Opener = Callable[[], Metadata]


class MetadataContract:
    """``opener`` gives another handle on the same store each time, as another process would have it."""

    @pytest.fixture
    def opener(self) -> Opener:
        raise NotImplementedError

    @pytest.fixture
    def store(self, opener: Opener) -> Metadata:
        return opener()

    def test_seqs_begin_at_one_and_never_repeat(self, store: Metadata, opener: Opener) -> None:
        """Leases follow each other without overlap, over handles and restarts."""
        assert store.lease_seqs(10) == 1
        assert store.lease_seqs(1) == 11
        other = opener()
        assert other.lease_seqs(5) == 12
        store.close()
        assert opener().lease_seqs(1) == 17

    def test_a_lease_of_nothing_is_refused(self, store: Metadata) -> None:
        """A count below one is the caller's mistake."""
        with pytest.raises(ValueError, match="0"):
            store.lease_seqs(0)

    def test_a_lease_lies_above_what_the_caller_found(self, store: Metadata) -> None:
        """A store that was lost or is an old copy does not give out numbers that stand on disk."""
        assert store.lease_seqs(10, above=1_000) == 1_001
        assert store.lease_seqs(10, above=5) == 1_011

    def test_threads_never_lease_the_same_seq(self, store: Metadata) -> None:
        """Eight threads on one handle get numbers of their own."""
        leased: list[int] = []

        def lease() -> None:
            for _ in range(4):
                first = store.lease_seqs(3)
                leased.extend(range(first, first + 3))

        threads = [threading.Thread(target=lease) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(leased) == list(range(1, 97))

    def test_documents_are_kept_as_they_came(self, store: Metadata, opener: Opener) -> None:
        """The latest content of each document is read back by any other handle; homes do not mix."""
        devices = [{"id": "d1", "name": "Küche", "n": 1.5, "none": None}]
        store.put_document("home", "devices", [])
        store.put_document("home", "devices", devices)
        store.put_document("home", "config", {"z": 1, "a": 2})
        store.put_document("cabin", "config", {})
        other = opener()
        assert other.documents("home") == {"devices": devices, "config": {"z": 1, "a": 2}}
        assert list(other.documents("home")["config"]) == ["z", "a"]
        assert other.homes() == ["cabin", "home"]
        assert other.documents("nowhere") == {}

    def test_a_gap_is_opened_closed_and_filled(self, store: Metadata, opener: Opener) -> None:
        """A gap is open until its end is known; both are told exactly."""
        _gap(store, "g1", from_us=1_000)
        assert store.gaps(open_only=True)[0]["to_us"] is None
        store.close_gap("g1", 2_000)
        store.add_backfilled("g1", 7)
        store.add_backfilled("g1", 2)
        assert store.gaps(open_only=True) == []
        assert opener().gaps() == [
            {
                "gap_id": "g1",
                "home": "home",
                "source": "homeassistant",
                "from_us": 1_000,
                "to_us": 2_000,
                "reason": "disconnect",
                "detail": "the home went away",
                "backfilled": 9,
            }
        ]

    def test_repeated_gap_calls_are_harmless(self, store: Metadata) -> None:
        """Opening and closing twice changes nothing, an unknown gap neither."""
        _gap(store, "g1", from_us=1_000)
        store.close_gap("g1", 2_000)
        _gap(store, "g1", from_us=5_000)
        store.close_gap("g1", 9_000)
        store.close_gap("unknown", 9_000)
        store.add_backfilled("unknown", 1)
        assert [(gap["from_us"], gap["to_us"]) for gap in store.gaps()] == [(1_000, 2_000)]

    def test_pages_of_gaps_have_no_hole_and_no_repeat(self, store: Metadata) -> None:
        """Paging by ``before`` gives each gap once, newest first, also when several begin at the same time."""
        for number in range(25):
            _gap(store, f"g{number:02d}", from_us=number // 3)
        seen: list[str] = []
        before = None
        while page := store.gaps(limit=4, before=before):
            seen += [gap["gap_id"] for gap in page]
            before = seen[-1]
        assert seen == [f"g{number:02d}" for number in reversed(range(25))]
        with pytest.raises(QueryError, match="no such gap"):
            store.gaps(before="no such gap")

    def test_gaps_can_be_asked_by_home(self, store: Metadata) -> None:
        """Only the gaps of the home asked for are listed."""
        _gap(store, "g1", from_us=1, home="home")
        _gap(store, "g2", from_us=2, home="cabin")
        assert [gap["gap_id"] for gap in store.gaps(home="cabin")] == ["g2"]

    def test_quarantine_is_indexed_once(self, store: Metadata, opener: Opener) -> None:
        """The same rows twice, as after a crash, are one item each; raw bytes come back exactly."""
        rows = make_quarantined(3).to_pylist()
        store.add_quarantined(rows)
        store.add_quarantined([{**row, "seq": row["seq"] + 50} for row in rows])
        listed = opener().quarantined()
        assert [item["seq"] for item in listed] == [3, 2, 1]
        assert "raw" not in listed[0]
        item = store.quarantined_item(rows[1]["quarantine_id"])
        assert item is not None
        assert item["raw"] == rows[1]["raw"]
        assert item["received_at_us"] == START_US + 2
        assert item["backfilled"] is False
        assert item["event_id"] is None
        assert store.quarantined_item("unknown") is None

    def test_one_bad_row_indexes_none(self, store: Metadata) -> None:
        """Rows are indexed all or none."""
        rows = make_quarantined(2).to_pylist()
        rows[1]["reason"] = None
        with pytest.raises(Exception, match="reason"):
            store.add_quarantined(rows)
        assert store.quarantined() == []
        assert store.lease_seqs(1) == 1

    def test_quarantine_can_be_asked_by_home_reason_and_page(self, store: Metadata) -> None:
        """Filters combine with paging."""
        store.add_quarantined(make_quarantined(5, reason="not_json").to_pylist())
        store.add_quarantined(make_quarantined(5, first_seq=6, home="cabin", reason="too_deep").to_pylist())
        assert [item["seq"] for item in store.quarantined(home="home", limit=2)] == [5, 4]
        assert [item["seq"] for item in store.quarantined(home="home", limit=2, before_seq=4)] == [3, 2]
        assert [item["seq"] for item in store.quarantined(reason="too_deep", limit=1)] == [10]
        assert store.quarantine_counts() == {"not_json": 5, "too_deep": 5}

    def test_a_stored_item_leaves_the_quarantine(self, store: Metadata) -> None:
        """What was stored after all is no longer open; it stays readable and keeps its first event."""
        rows = make_quarantined(2).to_pylist()
        store.add_quarantined(rows)
        gone = rows[0]["quarantine_id"]
        store.resolve_quarantined(gone, "e1")
        store.resolve_quarantined(gone, "e2")
        store.resolve_quarantined("unknown", "e3")
        store.add_quarantined(rows)
        assert [item["quarantine_id"] for item in store.quarantined()] == [rows[1]["quarantine_id"]]
        assert len(store.quarantined(open_only=False)) == 2
        item = store.quarantined_item(gone)
        assert item is not None
        assert item["event_id"] == "e1"
        assert store.quarantine_counts() == {"not_json": 1}
        assert store.resolved_count() == 1

    def test_cursors_are_set_whole(self, store: Metadata, opener: Opener) -> None:
        """A reader's positions are read back as set; readers do not mix."""
        assert store.cursor("history") == {}
        store.set_cursor("history", {0: 10, 1: 20})
        store.set_cursor("webhook", {0: 5})
        store.set_cursor("history", {1: 30, 2: 2**62})
        assert opener().cursor("history") == {1: 30, 2: 2**62}
        assert opener().cursor("webhook") == {0: 5}

    @pytest.mark.parametrize("value", [None, True, 0, 1.5, "ä", [1, {"a": None}], {"k": [1]}])
    def test_small_values_are_kept(self, store: Metadata, opener: Opener, value: Any) -> None:
        """Any JSON value is read back equal; an unknown name is None."""
        assert store.get("x") is None
        store.put("x", "before")
        store.put("x", value)
        assert opener().get("x") == value


def _gap(store: Metadata, gap_id: str, *, from_us: int, home: str = "home") -> None:
    store.open_gap(
        gap_id=gap_id,
        home=home,
        source="homeassistant",
        from_us=from_us,
        reason="disconnect",
        detail="the home went away",
    )
