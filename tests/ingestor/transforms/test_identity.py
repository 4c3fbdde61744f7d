"""An event's name depends on the event alone, today and in ten years."""

from __future__ import annotations

from hashlib import blake2b

from ingestor.transforms.identity import canonical, other_id, removal_id, state_id

T = 1_795_423_433_327_195


def test_golden_names() -> None:
    """These names stand in archives: they never change."""
    assert state_id("home", "light.bed_light", T, "on").hex() == "53de8fe31d752e35394c933b1cc7ff79"
    assert removal_id("home", "light.bed_light", T).hex() == "77147ceaa4725391daafe7944f44a4d1"
    assert (
        other_id("home", "tag_scanned", T, "c1", canonical(b'{"b": 1, "a": "\\u00e9"}')).hex()
        == "1a4f7718d514a675f23846a756fbeb2c"
    )


def test_the_published_algorithm_gives_the_name() -> None:
    """Whoever follows the docstring by hand gets the same 16 bytes."""
    text = f"ha-ingestor 1 state\nhome\nsensor.a\n{T}\n21,5 °C"
    assert state_id("home", "sensor.a", T, "21,5 °C") == blake2b(text.encode(), digest_size=16).digest()
    text = f'ha-ingestor 1 event\nhome\n{T}\n["x/é",null,{{"a":1.5,"b":[]}}]'
    by_hand = blake2b(text.encode(), digest_size=16).digest()
    assert other_id("home", "x/é", T, None, canonical(b'{"b":[ ],"a":1.50}')) == by_hand


def test_no_two_different_events_share_a_text() -> None:
    """Line feeds in a state cannot imitate another field."""
    names = {
        state_id("home", "sensor.a", 1, "2\n3"),
        state_id("home", "sensor.a", 12, "3"),
        state_id("home", "sensor.a", 1, ""),
        removal_id("home", "sensor.a", 1),
        state_id("house", "sensor.a", 1, "2\n3"),
        other_id("home", "sensor.a", 1, "c", b"{}"),
        other_id("home", "sensor.a", 1, None, b"{}"),
    }
    assert len(names) == 7
