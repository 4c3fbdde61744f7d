"""A real uvicorn on loopback in front of both applications, and a client for it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.app import api, live

from .fake_desk import FakeDesk


def both(questions: ASGIApp, streams: ASGIApp) -> ASGIApp:
    """Serve the two applications beside each other, as the deployment's longest-prefix routing does."""

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        app = streams if scope["path"] == "/api/v1/events/stream" else questions
        await app(scope, receive, send)

    return route


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture(scope="session")
def applications() -> tuple[FastAPI, FastAPI]:
    """Compose once: no application keeps anything between requests but its desk."""
    return api(FakeDesk(), hosts=["ingestor.example"]), live(FakeDesk(), hosts=["ingestor.example"])


@pytest.fixture(scope="session")
def server(applications: tuple[FastAPI, FastAPI]) -> Iterator[str]:
    """Run one server in a thread of its own; the tests' loops come and go."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            both(*applications), lifespan="off", ws="none", log_level="critical", timeout_graceful_shutdown=1
        )
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        running.should_exit = True
        thread.join(10)


@pytest.fixture
def base(server: str, applications: tuple[FastAPI, FastAPI], desk: FakeDesk) -> str:
    """Give the server's address, with this test's desk behind it."""
    for application in applications:
        application.state.desk = desk
    return server


@pytest.fixture
async def client(base: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base, timeout=aiohttp.ClientTimeout(total=20), auto_decompress=False) as session:
        yield session
