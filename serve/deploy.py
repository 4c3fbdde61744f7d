"""The two Ray Serve applications: questions and ingest in one, streams in their own.

Each open stream holds one ongoing request for its life, so streams may never share a deployment with questions. The
application is built inside its replica, from the settings.
"""

from __future__ import annotations

import logging
from typing import Any

from ray import serve as ray_serve

from ingestor.settings import Settings

STREAM_PREFIX = "/api/v1/events/stream"
QUESTIONS_AT_ONCE = 200
STREAMS_AT_ONCE = 1_000
STOP_WITHIN_S = 2.0


class Questions:
    """A replica that answers questions and takes events in."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __serve_build_asgi_app__(self) -> Any:
        """Build the application in the replica's own process."""
        from .actor_desk import ActorDesk
        from .app import api

        return api(ActorDesk(self._settings))


class Streams:
    """A replica that serves live streams."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __serve_build_asgi_app__(self) -> Any:
        """Build the application in the replica's own process."""
        from .actor_desk import ActorDesk
        from .app import live

        return _at_root(live(ActorDesk(self._settings)))


def _at_root(app: Any) -> Any:
    """Give the application whole paths: Serve would strip the prefix that its routes name."""

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] in {"http", "websocket"}:
            scope = {**scope, "root_path": ""}
        await app(scope, receive, send)

    return asgi


def start(settings: Settings) -> None:
    """Deploy both applications and wait until they answer."""
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    ray_serve.start(
        http_options={"host": settings.http.host, "port": settings.http.port},
        proxy_location="HeadOnly",
        logging_config={"log_level": "WARNING", "enable_access_log": False},
    )
    ray_serve.run_many(
        [
            ray_serve.RunTarget(
                target=_deployment(Questions, "questions", QUESTIONS_AT_ONCE).bind(settings),
                name="questions",
                route_prefix="/",
            ),
            ray_serve.RunTarget(
                target=_deployment(Streams, "streams", STREAMS_AT_ONCE).bind(settings),
                name="streams",
                route_prefix=STREAM_PREFIX,
            ),
        ],
    )


def _deployment(cls: type, name: str, at_once: int) -> Any:
    return ray_serve.deployment(
        name=name,
        num_replicas=1,
        max_ongoing_requests=at_once,
        graceful_shutdown_timeout_s=STOP_WITHIN_S,
        graceful_shutdown_wait_loop_s=0.2,
        health_check_period_s=5,
        ray_actor_options={"num_cpus": 0},
    )(ray_serve.ingress()(cls))
