"""The whole product on data that an earlier version left: everything is there, and life goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.golden.test_golden import RELEASES, ROOT, newer_history, newer_metadata, newer_segment
from tests.ingestor.transforms.recorded import state_event
from tests.support.product import Product

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def product_on(data: Path, directory: Path) -> Product:
    product = Product(directory, environment={"HA_INGESTOR_DEMO__PAST_H": "0"})
    shutil.copytree(data, product.data_dir)
    return product


def test_every_event_of_every_earlier_version_is_answered_and_new_ones_follow(tmp_path: Path) -> None:
    """Started on the oldest golden directory: each event is there once, as it was; new ones follow, also later."""
    golden = ROOT / RELEASES[0]
    expected = json.loads((golden / "expected.json").read_text())["events"]
    product = product_on(golden, tmp_path)
    new = state_event("sensor.upgraded", "1", at="2026-11-24T08:00:00+00:00")
    for start in range(2):
        product.start()
        try:
            if start == 0:
                answer = product.post_events([json.loads(new)])
                assert answer["accepted"] == 1
                assert answer["last_seq"] > max(each[1] for each in expected)
            shown = {event["event_id"]: event for event in product.events(source="test")}
            assert sorted(shown) == sorted(each[0] for each in expected)
            for event_id, seq, event_type, entity_id, state, _ in expected:
                event = shown[event_id]
                found = (event["seq"], event["event_type"], event["entity_id"], event["state"])
                assert found == (seq, event_type, entity_id, state)
            assert len(list(product.events(entity_id="sensor.upgraded"))) == 1
        finally:
            product.close()


@pytest.mark.parametrize("upgrade", [newer_history, newer_segment, newer_metadata])
def test_data_of_a_newer_version_ends_the_start_with_a_line(
    tmp_path: Path, upgrade: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever store it is: the command ends by itself and says to install that version again."""
    product = product_on(ROOT / "0.1.0", tmp_path)
    with monkeypatch.context() as patched:
        upgrade(product.data_dir, patched)  # type: ignore[operator]  # one of three functions
    answer = product.command("run", timeout_s=100)
    assert answer.returncode == 2
    assert "Install that version again" in answer.stderr.splitlines()[-1]
