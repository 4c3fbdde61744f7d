"""Handshake, loss, return: every span unseen is a gap record with its cause, and no fault makes a storm."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from ingestor.sources.base import Batch, Document, GapClosed, GapOpened
from ingestor.sources.homeassistant import Backoff, HomeAssistantSource, Timing
from ingestor.sources.homeassistant.address import websocket_url, without_password
from tests.ingestor.sources.watching import BRISK, IMPATIENT, Watch, source_of, watched
from tests.support.fake_home import TOKEN, VERSIONS, FakeHome, fake_home

RESTART = b'{"event_type":"call_service","data":{"domain":"homeassistant","service":"restart","service_data":{}}}'
ONE = b'{"event_type":"one","data":{}}'
#: No ping proves anything during a test.
UNHURRIED = replace(BRISK, ping_every_s=10.0, silence_s=25.0)


def fired_at(moment_us: int) -> bytes:
    """Make an event of a moment, as Home Assistant writes it."""
    moment = datetime.fromtimestamp(moment_us // 1_000_000, UTC).replace(microsecond=moment_us % 1_000_000)
    return b'{"event_type":"one","data":{},"time_fired":"%s"}' % moment.isoformat().encode()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://homeassistant.local:8123", "ws://homeassistant.local:8123/api/websocket"),
        ("https://ha.example.org/", "wss://ha.example.org/api/websocket"),
        ("https://example.org/ha", "wss://example.org/ha/api/websocket"),
        ("http://supervisor/core", "ws://supervisor/core/websocket"),
    ],
)
def test_the_websocket_is_found_from_the_address_in_the_browser(url: str, expected: str) -> None:
    """Scheme and path follow from what a user types, and from the Supervisor's address."""
    assert str(websocket_url(url)) == expected


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_connect_coalesces_subscribes_and_then_reads(version: str) -> None:
    """Features come first, the subscription before any reading, and health tells the version."""
    async with fake_home(version) as home, watched(source_of(home)) as watch:
        await watch.ready()
        first = [command["type"] for command in home.commands][:3]
        assert first == ["supported_features", "subscribe_events", "config_entries/subscribe"]
        assert home.clients[0].coalesces
        health = watch.source.health
        assert (health.state, health.version, health.connects, health.missing) == ("connected", version, 1, [])
    assert watch.source.health.state == "stopped"
    assert not watch.all(GapOpened)


async def test_a_home_that_knows_no_coalescing_is_read_all_the_same() -> None:
    """An unknown command is passed over."""
    async with FakeHome() as home, watched(source_of(home)) as watch:
        home.known_features = False
        await watch.ready()
        home.emit([ONE, ONE])
        await watch.until(lambda: watch.events() == [ONE, ONE])


async def test_a_lost_connection_is_a_gap_that_ends_when_subscribed_again() -> None:
    """The gap runs from what was heard last to the new subscription; then all documents come anew."""
    async with fake_home() as home, watched(source_of(home)) as watch:
        await watch.ready()
        fired_us = time.time_ns() // 1000
        one = fired_at(fired_us)
        home.emit([one])
        await watch.until(lambda: watch.events() == [one])
        await home.disconnect(code=1001)
        await watch.until(lambda: bool(watch.all(GapClosed)))
        await watch.until(lambda: len([each for each in watch.all(Document) if each.name == "missing"]) == 2)
        home.emit([ONE])
        await watch.until(lambda: len(watch.events()) == 2)
        assert watch.source.health.connects == 2
    (opened,), (closed,) = watch.all(GapOpened), watch.all(GapClosed)
    assert opened.gap_id == closed.gap_id
    assert fired_us == opened.from_us <= closed.to_us
    assert "1001" in opened.detail
    assert opened.reason == "disconnect"
    order = [type(item) for item in watch.items if isinstance(item, GapOpened | GapClosed)]
    assert order == [GapOpened, GapClosed]


async def test_what_waited_in_the_home_when_it_threw_us_out_lies_in_the_gap() -> None:
    """Events reach us late: those fired before we last heard something, and dropped behind it, are in the gap too."""
    async with FakeHome(pending_limit=1_000) as home, watched(source_of(home, timing=UNHURRIED)) as watch:
        await watch.ready()
        await asyncio.sleep(0.05)
        fired_us = time.time_ns() // 1000
        await asyncio.sleep(0.2)
        home.emit([fired_at(fired_us)])
        await watch.until(lambda: bool(watch.events()))
        home.emit([fired_at(fired_us + number) for number in range(1, 1_001)])
        await watch.until(lambda: bool(watch.all(GapClosed)))
    (gap,) = watch.all(GapOpened)
    heard_us = next(batch.received_at_us for batch in watch.all(Batch) if not batch.backfilled)
    assert home.thrown_out[0].lost_messages == 1_000
    assert gap.from_us == fired_us < heard_us - 100_000


@pytest.mark.parametrize("event", [ONE, b'{"event_type":"old","data":{},"time_fired":"1999-01-01T00:00:00+00:00"}'])
async def test_a_home_whose_clock_is_behind_makes_no_gap_of_years(event: bytes) -> None:
    """The answer to our last question stands behind all that was fired before we asked: the gap begins no earlier."""
    async with fake_home() as home, watched(source_of(home, timing=UNHURRIED)) as watch:
        began_us = time.time_ns() // 1000
        await watch.ready()
        ready_us = time.time_ns() // 1000
        home.emit([event])
        await watch.until(lambda: bool(watch.events()))
        await home.disconnect()
        await watch.until(lambda: bool(watch.all(GapClosed)))
    (gap,) = watch.all(GapOpened)
    assert began_us < gap.from_us <= ready_us


async def test_a_restart_is_told_from_other_losses() -> None:
    """Home Assistant closes right after the call; the gap names the restart, and the same port is found again."""
    async with fake_home() as home, watched(source_of(home)) as watch:
        await watch.ready()
        home.emit([RESTART])
        await home.drained()
        await home.go_down()
        await watch.until(lambda: bool(watch.all(GapOpened)))
        await asyncio.sleep(0.2)
        assert watch.source.health.state == "reconnecting"
        await home.come_up()
        await watch.until(lambda: bool(watch.all(GapClosed)))
    assert RESTART in watch.events()
    assert [gap.reason for gap in watch.all(GapOpened)] == ["home_restart"]


async def test_a_home_that_is_not_there_at_first_is_a_gap_from_the_beginning() -> None:
    """What happens before the first connection was not seen either."""
    home = FakeHome()
    await home.come_up()
    await home.go_down()
    source = source_of(home, clock=lambda: 1_000.0)
    async with watched(source) as watch:
        await watch.until(lambda: bool(watch.all(GapOpened)))
        await home.come_up()
        await watch.until(lambda: bool(watch.all(GapClosed)))
        await watch.ready()
    await home.go_down()
    assert [(gap.reason, gap.from_us) for gap in watch.all(GapOpened)] == [("disconnect", 1_000_000_000)]


async def test_a_cable_cut_without_a_word_is_a_gap() -> None:
    """A reset is a loss like any other."""
    async with FakeHome() as home, watched(source_of(home)) as watch:
        await watch.ready()
        home.cut_cables()
        await watch.until(lambda: bool(watch.all(GapClosed)))
    assert [gap.reason for gap in watch.all(GapOpened)] == ["disconnect"]


async def test_a_half_open_connection_is_found_out() -> None:
    """A home that keeps the connection but says nothing is left after the silence allowed, and not before."""
    loop = asyncio.get_running_loop()
    async with FakeHome() as home, watched(source_of(home, timing=IMPATIENT)) as watch:
        await watch.ready()
        await asyncio.sleep(1.5)
        assert not watch.all(GapOpened)
        began_s = loop.time()
        home.go_silent()
        await watch.until(lambda: bool(watch.all(GapOpened)))
        assert 0.5 < loop.time() - began_s < 10.0
        home.wake()
        await watch.until(lambda: bool(watch.all(GapClosed)))
    assert [gap.reason for gap in watch.all(GapOpened)] == ["half_open"]


def test_half_open_is_found_out_within_30_s_unless_told_otherwise() -> None:
    """The defaults keep the promise: a ping goes out in time to be answered, and the silence ends the connection."""
    timing = Timing()
    assert timing.ping_every_s * 2 < timing.silence_s < 30


async def test_a_revoked_token_does_not_storm() -> None:
    """Refusals come at a growing distance; health says refused; the gap says why; a new token of that value heals."""
    backoff = Backoff(first_s=0.01, cap_s=0.01, refused_first_s=0.2, refused_cap_s=0.8)
    async with FakeHome() as home, watched(source_of(home, backoff=backoff)) as watch:
        await watch.ready()
        home.revoke()
        await home.disconnect()
        await watch.until(lambda: watch.source.health.state == "refused")
        assert "token" in watch.source.health.detail
        tries_before = len(home.logins)
        await asyncio.sleep(1.2)
        assert len(home.logins) - tries_before <= 4
        waits_s = [later - sooner for sooner, later in zip(home.logins[1:], home.logins[2:], strict=False)]
        assert all(wait_s >= 0.1 for wait_s in waits_s[1:])
        home.revoke(TOKEN)
        await watch.until(lambda: len(watch.all(GapClosed)) == 2)
        assert watch.source.health.state == "connected"
    assert [gap.reason for gap in watch.all(GapOpened)] == ["disconnect", "auth_rejected"]


def test_refused_tries_are_at_last_minutes_apart_and_lost_ones_a_minute() -> None:
    """Full jitter for losses, never less than half for refusals, and both are capped."""
    backoff, rng = Backoff(), random.Random(1)  # noqa: S311 - jitter
    assert all(0 <= backoff.after_loss_s(tries, rng) <= min(60, 2**tries) for tries in range(200))
    assert all(150 <= backoff.after_refusal_s(tries, rng) <= 300 for tries in range(5, 200))
    assert all(backoff.after_loss_s(tries, rng, restarting=True) <= 2 for tries in range(200))
    assert min(backoff.after_refusal_s(0, rng) for _ in range(100)) >= 5


async def test_the_token_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Not in repr, logs, gaps or health, even if Home Assistant sends it back in its refusal."""
    with structlog.testing.capture_logs() as logs:
        async with FakeHome(token=f"{TOKEN}-other") as home:
            source = HomeAssistantSource("casa", home.url.replace("//", "//me:pass-word@"), TOKEN, timing=BRISK)
            async with watched(source) as watch:
                await watch.until(lambda: source.health.state == "refused")
            home._let_in = _echoing  # type: ignore[method-assign] # a refusal that repeats what it got
            async with watched(source_of(home)) as echoed:
                await echoed.until(lambda: echoed.source.health.state == "refused" or echoed.source.health.detail != "")
    told = repr((logs, caplog.records, source, vars(source), source.health, watch.items))
    told += repr((vars(echoed.source), echoed.source.health, echoed.items))
    assert "REDACTED" in told
    assert TOKEN not in told
    assert "pass-word" not in repr((logs, source, source.health, watch.items))
    assert without_password("http://me:pass@h/x") == "http://h/x"


async def _echoing(ws: Any, text: str) -> bool:
    await ws.send_json({"type": "auth_invalid", "message": f"Auth message incorrectly formatted: Got {text}"})
    return False


async def test_a_span_nobody_watched_is_closed_by_the_first_subscription() -> None:
    """Whoever starts the source may open a gap for the time before, also one an earlier run left open."""
    async with FakeHome() as home:
        source = source_of(home)
        source.begin_gap(from_us=5, reason="ingestor_stopped", detail="the ingestor did not run")
        source.begin_gap(from_us=3, reason="disconnect", detail="left open", gap_id="f" * 32)
        async with watched(source) as watch:
            await watch.ready()
    assert [gap.from_us for gap in watch.all(GapOpened)] == [5, 3]
    assert {gap.gap_id for gap in watch.all(GapClosed)} == {gap.gap_id for gap in watch.all(GapOpened)}
    assert "f" * 32 in {gap.gap_id for gap in watch.all(GapClosed)}


async def test_stop_ends_within_two_seconds_and_gives_what_was_read() -> None:
    """Even if the consumer stands still and the queue is long."""
    burst: list[bytes | dict[str, Any]] = [b'{"event_type":"n","data":{"n":%d}}' % n for n in range(12_000)]
    async with FakeHome() as home:
        source = source_of(home, ready_bytes=1_000)
        watch = Watch(source)
        await watch.ready()
        watch.running.clear()
        for at in range(0, len(burst), 3_000):
            home.emit(burst[at : at + 3_000])
            await home.drained()
        await asyncio.sleep(0.2)
        began_s = asyncio.get_running_loop().time()
        await source.stop()
        assert asyncio.get_running_loop().time() - began_s < 1.5
        await watch.stop()
        assert watch.events() == burst


async def test_a_loss_is_recorded_even_if_stop_comes_before_anybody_noticed() -> None:
    """The consumer stands still, the connection is lost, then comes stop: the events come out, and the gap."""
    async with FakeHome() as home:
        source = source_of(home, ready_bytes=1, backoff=Backoff(first_s=50))
        watch = Watch(source)
        await watch.ready()
        watch.running.clear()
        home.emit([ONE])
        await home.drained()
        await asyncio.sleep(0.1)
        home.emit([ONE, ONE])
        await home.drained()
        await asyncio.sleep(0.1)
        home.emit([ONE])
        await home.drained()
        await home.disconnect()
        await asyncio.sleep(0.1)
        await watch.stop()
    assert watch.events() == [ONE] * 4
    assert [gap.reason for gap in watch.all(GapOpened)] == ["disconnect"]


@pytest.mark.parametrize("state", ["unreachable", "silent", "refused"])
async def test_stop_ends_whatever_the_source_waits_for(state: str) -> None:
    """In a back-off, in a handshake that does not end, after a refusal."""
    async with FakeHome() as home:
        if state == "unreachable":
            await home.go_down()
        elif state == "silent":
            home.go_silent()
        else:
            home.revoke()
        watch = Watch(source_of(home, backoff=Backoff(first_s=50, refused_first_s=50), timing=Timing(close_s=0.2)))
        await asyncio.sleep(0.2)
        began_s = asyncio.get_running_loop().time()
        await watch.stop()
        assert asyncio.get_running_loop().time() - began_s < 2.0
        home.wake()
