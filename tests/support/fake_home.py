"""A Home Assistant that says over its WebSocket what a real one says, at the speed and with the faults a test wants.

    async with FakeHome(answers=recorded_answers("2025.4.4")) as home:
        ...                                # give home.url and home.token to a client
        await home.subscribed()
        home.emit([event, event])          # as one loop tick of Home Assistant: coalesced if the client can
        await home.disconnect(code=1000)

Faithful in: handshake, refusals to a user who is no administrator, error codes, ids that must rise, coalescing, and
the limit of pending messages above which a client is thrown out. Listens on loopback, on a free port that it keeps
through ``go_down`` and ``come_up``.
"""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import zstandard
from aiohttp import WSMsgType, web

FRAMES: Final = Path(__file__).parents[1] / "fixtures" / "frames"
VERSIONS: Final = ("2024.3.3", "2025.4.4")
TOKEN: Final = "a-token-nobody-may-see"  # noqa: S105 - of the fake only
#: What a user who is no administrator may subscribe to and may not ask, as Home Assistant 2025.4 has it.
OPEN_EVENT_TYPES: Final = frozenset(
    {
        "area_registry_updated",
        "category_registry_updated",
        "component_loaded",
        "core_config_updated",
        "device_registry_updated",
        "entity_registry_updated",
        "floor_registry_updated",
        "label_registry_updated",
        "lovelace_updated",
        "panels_updated",
        "recorder_5min_statistics_generated",
        "recorder_hourly_statistics_generated",
        "repairs_issue_registry_updated",
        "service_registered",
        "service_removed",
        "shopping_list_updated",
        "state_changed",
        "themes_updated",
    },
)
ADMIN_COMMANDS: Final = frozenset({"config/auth/list", "config_entries/subscribe"})
PENDING_LIMIT: Final = 4096

Answer = Callable[[dict[str, Any]], Any]


class Refuse(Exception):
    """Raised by an answer to make it an error result."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message


def recorded_lines(version: str, name: str) -> list[bytes]:
    """Return the lines of a recorded file, for example ``A_all.frames.ndjson``."""
    packed = (FRAMES / version / f"{name}.zst").read_bytes()
    return zstandard.ZstdDecompressor().decompressobj().decompress(packed).splitlines()


def recorded_answers(version: str) -> dict[str, Any]:
    """Return command type -> recorded ``result``; of the two recordings of each, the later."""
    packed = (FRAMES / version / "commands.tar.zst").read_bytes()
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    answers: dict[str, Any] = {}
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        for member in sorted(archive.getmembers(), key=lambda each: each.name):
            file = archive.extractfile(member) if member.isfile() else None
            said = json.load(file) if file else {}
            request, response = said.get("request") or {}, said.get("response") or {}
            if not request.get("type") or not response.get("success"):
                continue
            if request["type"] in {"automation/config", "script/config"}:
                _per_entity(answers, request, response["result"])
            else:
                answers[request["type"]] = response["result"]
    return answers


def _per_entity(answers: dict[str, Any], request: dict[str, Any], result: Any) -> None:
    known: dict[str, Any] = getattr(answers.get(request["type"]), "known", {})

    def answer(asked: dict[str, Any]) -> Any:
        if asked.get("entity_id") not in known:
            raise Refuse("not_found", "Entity not found")
        return known[asked["entity_id"]]

    known[request["entity_id"]] = result
    answer.known = known  # type: ignore[attr-defined] # the answers of one command share what is known
    answers[request["type"]] = answer


def automation_configs(configs: Mapping[str, Any]) -> Answer:
    """Answer ``automation/config`` or ``script/config`` from entity_id -> config."""

    def answer(asked: dict[str, Any]) -> Any:
        if asked.get("entity_id") not in configs:
            raise Refuse("not_found", "Entity not found")
        return {"config": configs[asked["entity_id"]]}

    return answer


@dataclass(eq=False)
class Client:
    """One connected client, as Home Assistant keeps it."""

    ws: web.WebSocketResponse
    coalesces: bool = False
    last_id: int = 0
    subscriptions: dict[int, str | None] = field(default_factory=dict)
    entry_subscriptions: list[int] = field(default_factory=list)
    pending: deque[bytes] = field(default_factory=deque)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    thrown_out: bool = False
    lost_messages: int = 0


class FakeHome:
    """The server. ``answers``: command type -> result, or a function of the message that returns it or ``Refuse``s.

    Records ``logins`` (loop times of every try to authenticate), ``commands`` (every message received after it) and
    ``thrown_out`` (clients lost to the pending limit).
    """

    def __init__(
        self,
        *,
        answers: Mapping[str, Any] | None = None,
        version: str = "2025.4.4",
        token: str = TOKEN,
        admin: bool = True,
        pending_limit: int = PENDING_LIMIT,
    ) -> None:
        self.answers: dict[str, Any] = {"get_states": [], **(answers or {})}
        self.version, self.token, self.admin, self.pending_limit = version, token, admin, pending_limit
        self.known_features = True
        self._awake = asyncio.Event()
        self._awake.set()
        self.port = 0
        self.logins: list[float] = []
        self.commands: list[dict[str, Any]] = []
        self.thrown_out: list[Client] = []
        self.clients: list[Client] = []
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.come_up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        await self.go_down()

    @property
    def url(self) -> str:
        """The address a browser would use."""
        return f"http://127.0.0.1:{self.port}"

    async def come_up(self) -> None:
        """Listen, on the same port as before."""
        app = web.Application()
        app.router.add_get("/api/websocket", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def go_down(self) -> None:
        """Close every connection and stop listening."""
        await self.disconnect(code=1000)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def subscribed(self, clients: int = 1, *, timeout_s: float = 20.0) -> None:
        """Wait until that many clients are subscribed to events."""
        await self._until(lambda: sum(bool(each.subscriptions) for each in self.clients) >= clients, timeout_s)

    async def asked(self, command: str, times: int = 1, *, timeout_s: float = 20.0) -> None:
        """Wait until a command was received that often, counted since the start."""
        await self._until(lambda: self.count(command) >= times, timeout_s)

    def count(self, command: str) -> int:
        """How often a command was received."""
        return sum(each.get("type") == command for each in self.commands)

    def emit(self, events: Iterable[bytes | dict[str, Any]]) -> None:
        """Fire events, all in one tick, to whoever subscribed. Bytes are sent exactly as they are."""
        for event in events:
            raw = event if isinstance(event, bytes) else json.dumps(event).encode()
            for client in [*self.clients]:
                for number, event_type in client.subscriptions.items():
                    if event_type is None or f'"{event_type}"'.encode() in raw[:200]:
                        self._queue(client, b'{"type":"event","event":%s,"id":%d}' % (raw, number))

    def change_entry(self, change: str, entry: dict[str, Any]) -> None:
        """Tell a config entry change (``added``, ``updated``, ``removed``) to whoever subscribed to them."""
        for client in self.clients:
            for number in client.entry_subscriptions:
                self._say(client, {"id": number, "type": "event", "event": [{"type": change, "entry": entry}]})

    async def send_frames(self, frames: Iterable[bytes]) -> None:
        """Send frames as they are, past the queue, to every client, with back-pressure."""
        for frame in frames:
            for client in [*self.clients]:
                await client.ws.send_frame(frame, WSMsgType.TEXT)

    async def drained(self, *, timeout_s: float = 10.0) -> None:
        """Wait until everything queued has been sent."""
        await self._until(lambda: not any(each.pending for each in self.clients), timeout_s)

    async def disconnect(self, code: int = 1000) -> None:
        """Close every connection with this code; what is queued is lost, as it is with Home Assistant."""
        for client in [*self.clients]:
            client.pending.clear()
            await client.ws.close(code=code)

    def cut_cables(self) -> None:
        """Drop every TCP connection without a word."""
        for client in self.clients:
            transport = client.ws._req.transport if client.ws._req else None
            if transport is not None:
                transport.abort()

    def go_silent(self) -> None:
        """Keep every connection open but neither read nor write any more: half-open, as after a pulled plug."""
        self._awake.clear()

    def wake(self) -> None:
        """Read and write again."""
        self._awake.set()

    def revoke(self, token: str = "") -> None:
        """Accept only this token from now on (none by default). Open connections stay, as in 2025.4."""
        self.token = token

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(timeout=0.5)
        await ws.prepare(request)
        await self._awake.wait()
        await ws.send_json({"type": "auth_required", "ha_version": self.version})
        self.logins.append(asyncio.get_running_loop().time())
        hello = await ws.receive()
        if hello.type is not WSMsgType.TEXT or not await self._let_in(ws, hello.data):
            await ws.close()
            return ws
        client = Client(ws)
        self.clients.append(client)
        writer = asyncio.create_task(self._write(client))
        try:
            async for message in ws:
                if message.type is not WSMsgType.TEXT or client.thrown_out:
                    break
                if not await self._hear(client, message.data):
                    break
        finally:
            self.clients.remove(client)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await self._note()
        await ws.close()
        return ws

    async def _let_in(self, ws: web.WebSocketResponse, text: str) -> bool:
        try:
            hello = json.loads(text)
        except ValueError:
            return False
        if not isinstance(hello, dict) or set(hello) != {"type", "access_token"} or hello["type"] != "auth":
            await ws.send_json({"type": "auth_invalid", "message": f"Auth message incorrectly formatted: Got {text}"})
            return False
        if not self.token or hello["access_token"] != self.token:
            await ws.send_json({"type": "auth_invalid", "message": "Invalid access token or password"})
            return False
        await ws.send_json({"type": "auth_ok", "ha_version": self.version})
        return True

    async def _hear(self, client: Client, text: str) -> bool:
        """Take a message or an array of them. ``False``: not JSON, which ends the connection."""
        await self._awake.wait()
        try:
            said = json.loads(text)
        except ValueError:
            return False
        for message in said if isinstance(said, list) else [said]:
            self._obey(client, message)
        await self._note()
        return True

    def _obey(self, client: Client, message: dict[str, Any]) -> None:
        self.commands.append(message)
        number, command = message.get("id"), message.get("type", "")
        if not isinstance(number, int):
            self._fail(client, number, "invalid_format", "Message incorrectly formatted.")
            return
        if number <= client.last_id:
            self._fail(client, number, "id_reuse", "Identifier values have to increase.")
            return
        client.last_id = number
        if command == "ping":
            self._say(client, {"id": number, "type": "pong"})
        elif command == "supported_features" and self.known_features:
            client.coalesces = bool(message.get("features", {}).get("coalesce_messages"))
            self._succeed(client, number, None)
        elif command == "subscribe_events":
            self._subscribe(client, number, message.get("event_type"))
        elif command in ADMIN_COMMANDS and not self.admin:
            self._fail(client, number, "unauthorized", "Unauthorized")
        elif command == "config_entries/subscribe" and command not in self.answers:
            client.entry_subscriptions.append(number)
            self._succeed(client, number, None)
            entries = self.answers.get("config_entries/get", [])
            listed = [{"type": None, "entry": entry} for entry in entries]
            self._say(client, {"id": number, "type": "event", "event": listed})
        else:
            self._answer(client, number, message)

    def _subscribe(self, client: Client, number: int, event_type: str | None) -> None:
        if not self.admin and event_type not in OPEN_EVENT_TYPES:
            self._fail(client, number, "unauthorized", "Unauthorized")
            return
        client.subscriptions[number] = event_type
        self._succeed(client, number, None)

    def _answer(self, client: Client, number: int, message: dict[str, Any]) -> None:
        if message["type"] not in self.answers:
            self._fail(client, number, "unknown_command", "Unknown command.")
            return
        answer = self.answers[message["type"]]
        try:
            self._succeed(client, number, answer(message) if callable(answer) else answer)
        except Refuse as refusal:
            self._fail(client, number, refusal.code, refusal.message)

    def _succeed(self, client: Client, number: int, result: Any) -> None:
        self._say(client, {"id": number, "type": "result", "success": True, "result": result})

    def _fail(self, client: Client, number: Any, code: str, message: str) -> None:
        error = {"code": code, "message": message}
        self._say(client, {"id": number, "type": "result", "success": False, "error": error})

    def _say(self, client: Client, message: dict[str, Any]) -> None:
        self._queue(client, json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode())

    def _queue(self, client: Client, message: bytes) -> None:
        if client.thrown_out or not self._awake.is_set():
            client.lost_messages += 1
            return
        client.pending.append(message)
        client.ready.set()
        if len(client.pending) >= self.pending_limit:
            client.thrown_out = True
            client.lost_messages += len(client.pending)
            client.pending.clear()
            self.thrown_out.append(client)
            client.ready.set()

    async def _write(self, client: Client) -> None:
        try:
            while True:
                await client.ready.wait()
                client.ready.clear()
                await asyncio.sleep(0)
                while client.pending:
                    if client.coalesces and len(client.pending) > 1:
                        frame = b"[" + b",".join(client.pending) + b"]"
                        client.pending.clear()
                    else:
                        frame = client.pending.popleft()
                    await client.ws.send_frame(frame, WSMsgType.TEXT)
                if client.thrown_out:
                    await client.ws.close(code=1000)
                    return
                await self._note()
        except ConnectionError:
            return

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _until(self, holds: Callable[[], bool], timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(holds)


@asynccontextmanager
async def fake_home(version: str = "2025.4.4", **options: Any) -> AsyncIterator[FakeHome]:
    """Run a fake with the recorded answers of a version."""
    async with FakeHome(answers=recorded_answers(version), version=version, **options) as home:
        yield home
