"""Ray itself, in its embedded size: started, closed to others, watched, and ended without leaving a process.

Token authentication is always on, with a token file that only its owner reads; no usage statistics leave the machine;
workers are not niced; batches travel inline instead of through the object store. Serve runs in HAProxy mode with
throughput-optimised replicas, and refuses to start otherwise, because only then a client that does not read is
held back instead of filling memory (docs/adr/0003-serve.md).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil

from ingestor.errors import ConfigError, IngestorError
from ingestor.settings import Settings

OBJECT_STORE_BYTES: Final = 128 * 1024 * 1024
GONE_WITHIN_S: Final = 1.5
QUIET_PORTS: Final = range(20_000, 29_700)
PILLARS: Final = frozenset({"gcs_server", "raylet"})

#: Environment of every Ray process, set before Ray is imported.
ENVIRONMENT: Final[dict[str, str]] = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_max_direct_call_object_size": str(4 * 1024 * 1024),
    "RAY_task_rpc_inlined_bytes_limit": str(64 * 1024 * 1024),
    "RAY_DEDUP_LOGS": "0",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    "RAY_SERVE_HAPROXY_H2_BE_MAX_CONCURRENT_STREAMS": "1",
    "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "30",
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "2",
}

#: Ports that Ray and Serve use among themselves; each gets a free one, so that two products live on one machine.
INNER_PORTS: Final = (
    "RAY_SERVE_HAPROXY_STATS_PORT",
    "RAY_SERVE_HAPROXY_METRICS_PORT",
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
    "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT",
    "AUTOSCALER_METRIC_PORT",
    "DASHBOARD_METRIC_PORT",
)


class RayNotStarted(IngestorError):
    """Ray did not come up. What it wrote about it lies in ``logs``."""

    def __init__(self, fault: str, logs: str) -> None:
        super().__init__(fault, logs)
        self.fault, self.logs = fault, logs

    def __str__(self) -> str:
        return f"Ray did not start: {self.fault} Start again, perhaps when the machine is less busy; see {self.logs}"


@contextmanager
def own_data(settings: Settings) -> Iterator[None]:
    """Hold the data directory: a second program on it is refused with a ``ConfigError``.

    Whoever holds it may end what an earlier program on it left running.
    """
    run = settings.data_dir / "run"
    run.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.data_dir.chmod(0o700)
    lock = os.open(run / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                "data_dir",
                f"{settings.data_dir} is in use by another HA Ingestor",
                "Stop that one, or choose another data_dir",
            ) from None
        end_leftovers(settings)
        yield
    finally:
        os.close(lock)


def start(settings: Settings) -> dict[str, Any]:
    """Start Ray on this machine and connect to it. Returns its addresses.

    Nothing may import Ray before: it reads the environment once, and would come up without our token and settings.
    Raises ``RayNotStarted``, and leaves nothing behind.
    """
    temporary = temporary_dir(settings)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(mode=0o700)
    os.environ.update(_environment(settings, temporary))
    import ray

    try:
        context = ray.init(
            namespace="ha-ingestor",
            include_dashboard=settings.ray.dashboard,
            dashboard_host="127.0.0.1",
            dashboard_port=settings.ray.dashboard_port,
            object_store_memory=OBJECT_STORE_BYTES,
            logging_level="warning",
            log_to_driver=False,
            _temp_dir=str(temporary),
        )
    except Exception as error:
        end_leftovers(settings)
        raise RayNotStarted(str(error).partition("\n")[0], str(temporary / "session_latest" / "logs")) from error
    _refuse_unsafe_serve()
    return {"dashboard": context.dashboard_url}


def pillars() -> list[tuple[psutil.Process, str]]:
    """Give, with their names, the two processes that Ray cannot lose and restart by itself. Call after ``start``."""
    found = []
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if each.name() in PILLARS:
                found.append((each, each.name()))
    return found


def fallen(processes: list[tuple[psutil.Process, str]]) -> list[str]:
    """Tell which of these processes ended."""
    return [name for each, name in processes if not _lives(each)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop() -> None:
    """End Ray and wait until each of its processes is gone; what lingers is killed, by its own id. May be repeated."""
    import ray

    if not ray.is_initialized():
        return
    family = psutil.Process().children(recursive=True)
    ray.shutdown()
    _, alive = psutil.wait_procs(family, timeout=GONE_WITHIN_S)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def temporary_dir(settings: Settings) -> Path:
    """Where Ray keeps sockets and logs: one for each data directory, short because HAProxy's socket names must be."""
    name = hashlib.blake2b(str(settings.data_dir.resolve()).encode(), digest_size=4).hexdigest()
    return Path("/tmp") / f"hai-{name}"  # noqa: S108 - made by us with mode 0700, refused when it is somebody else's


def token_file(settings: Settings) -> Path:
    """Ray's token, made at first use; nobody but its owner may read it."""
    path = settings.data_dir / "run" / "ray-token"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
    return path.resolve()


def _environment(settings: Settings, temporary: Path) -> dict[str, str]:
    root = Path(__file__).resolve().parent.parent
    inner = {name: str(port) for name, port in zip(INNER_PORTS, free_ports(len(INNER_PORTS)), strict=True)}
    first_replica_port = free_ports(1)[0]
    return {
        **ENVIRONMENT,
        **inner,
        "RAY_AUTH_TOKEN_PATH": str(token_file(settings)),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first_replica_port),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(first_replica_port + 200),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(temporary / "h" / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(temporary / "h" / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(temporary / "h"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(temporary / "h" / "server-state"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")])),
    }


def _refuse_unsafe_serve() -> None:
    """Check what Serve really took of the settings without which clients that do not read would fill memory."""
    from ray.serve._private import constants

    safe = (
        constants.RAY_SERVE_ENABLE_HA_PROXY
        and not constants.RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD
        and constants.RAY_SERVE_HAPROXY_H2_BE_MAX_CONCURRENT_STREAMS == 1
        and str(constants.RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S) == ENVIRONMENT["RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S"]
    )
    if not safe:
        raise ConfigError(
            "RAY_SERVE_ENABLE_HA_PROXY",
            "Serve is not in HAProxy mode with throughput-optimised replicas, so slow clients would fill memory",
            "Do not import Ray before the cluster is started",
        )


def free_ports(count: int) -> list[int]:
    """Find ports that nobody on this machine listens on now, below those that the kernel gives to whoever asks.

    A port from that range could be somebody's before it is used here.
    """
    found: list[int] = []
    for port in secrets.SystemRandom().sample(QUIET_PORTS, len(QUIET_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            break
    return found


def end_leftovers(settings: Settings) -> None:
    """End what an earlier run on this data directory left behind. Needs the directory's lock."""
    temporary = str(temporary_dir(settings))
    left = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        with suppress(psutil.Error):
            named = any(temporary in part for part in process.info["cmdline"] or [])
            if named or process.environ().get("RAY_SERVE_HAPROXY_SERVER_STATE_BASE") == f"{temporary}/h":
                left.append(process)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=GONE_WITHIN_S)
