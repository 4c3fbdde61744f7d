"""What the job remembers of the home: the measures of each area, when states changed, what runs under which context."""

from __future__ import annotations

from datetime import datetime
from typing import Any

Row = dict[str, Any]
CONTEXTS = 100_000
_RUNS = {"automation_triggered", "script_started"}


class Memory:
    """Fed with the rows of one home in order; adds to each what follows from those before. Can be pickled."""

    def __init__(self, measures: dict[str, str]) -> None:
        self._measures = measures
        self._environments: dict[str, dict[str, float]] = {}
        self._changed: dict[str, datetime] = {}
        self._causes: dict[str, str] = {}

    def add(self, row: Row) -> Row:
        """Add cause, environment of the area, and seconds since the entity's last change."""
        row["cause"] = self._cause(row)
        entity_id = row.get("entity_id")
        if entity_id is not None:
            self._add_state(row, entity_id)
        return row

    def _add_state(self, row: Row, entity_id: str) -> None:
        area_id, changed = row.get("area_id"), row.get("last_changed")
        before = self._changed.get(entity_id)
        if changed is not None:
            if before is not None:
                row["since_last_change_s"] = (changed - before).total_seconds()
            self._changed[entity_id] = changed
        if area_id is not None:
            measure = self._measures.get(entity_id)
            number = row.get("state_numeric")
            if measure is not None and number is not None:
                self._environments[area_id] = {**self._environments.get(area_id, {}), measure: number}
            row["environment"] = self._environments.get(area_id)

    def _cause(self, row: Row) -> str | None:
        context_id, parent_id, user_id = row["context_id"], row["context_parent_id"], row["user_id"]
        cause = self._causes.get(context_id)
        if cause is None:
            cause = f"user:{user_id}" if user_id else self._causes.get(parent_id or "")
        run = row.get("run_of") if row["event_type"] in _RUNS else cause
        if run is not None:
            self._causes[context_id] = run
            if len(self._causes) > CONTEXTS:
                del self._causes[next(iter(self._causes))]
        return cause
