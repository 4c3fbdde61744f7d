"""A real Home Assistant for tests: its own process, loopback only, nobody to click through its first-start pages.

The owner, a plain user and their long-lived tokens are written to ``.storage`` before the first start, so it comes
up ready. A restart from inside (``homeassistant.restart``) keeps the process id. The configuration is the one in
``home_assistant_config``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.home_assistant_install import CannotInstall, Installation, install

__all__ = ["CannotInstall", "HomeAssistant", "Installation", "install"]

CONFIG = Path(__file__).with_name("home_assistant_config")
#: The person Anna of the configuration is the owner; the plain user is nobody's.
OWNER_ID = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_PLAIN_ID = "1a1b2c3d4e5f60718293a4b5c6d7e8f9"
_YEARS_S = 10 * 365 * 24 * 3600


class HomeAssistantFailed(Exception):
    """Home Assistant did not come up; the message shows the end of its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Login:
    user_id: str
    token_id: str
    key: str
    issued_at_s: int

    @property
    def token(self) -> str:
        """The signed token that Home Assistant accepts for this login."""
        head = _base64({"alg": "HS256", "typ": "JWT"})
        claims = {"iss": self.token_id, "iat": self.issued_at_s, "exp": self.issued_at_s + _YEARS_S}
        signed = f"{head}.{_base64(claims)}"
        seal = hmac.new(self.key.encode(), signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{base64.urlsafe_b64encode(seal).rstrip(b'=').decode()}"


class HomeAssistant:
    """One home. ``start`` and ``wait_running`` bring it up, ``stop`` or ``kill`` end it; it can be started again.

    ``folder`` becomes its configuration folder and must be its own. As a context manager it is stopped at the end.
    """

    def __init__(self, folder: Path, *, port: int | None = None, installation: Installation | None = None) -> None:
        self.folder = folder
        self.installation = installation or install()
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        now_s = int(time.time()) - 60
        self._owner, self._plain = (
            _Login(user_id=user, token_id=uuid.uuid4().hex, key=secrets.token_hex(64), issued_at_s=now_s)
            for user in (OWNER_ID, _PLAIN_ID)
        )
        self._configure()

    @property
    def url(self) -> str:
        """Its address, as a browser would type it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """A long-lived token of the owner, an administrator."""
        return self._owner.token

    def non_admin_token(self) -> str:
        """Give a long-lived token of a user without administrator rights."""
        return self._plain.token

    @property
    def db_path(self) -> Path:
        """The recorder's SQLite database."""
        return self.folder / "home-assistant_v2.db"

    @property
    def pid(self) -> int:
        """The process id, the same across a restart from inside."""
        if self._process is None:
            raise HomeAssistantFailed("Home Assistant was not started")
        return self._process.pid

    def start(self) -> None:
        """Start the process; returns at once."""
        command = [str(self.installation.python), str(CONFIG / "launch.py"), "-c", str(self.folder)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("HA_", "PYTHON", "SUPERVISOR"))}
        environment |= {"HA_PORT": str(self.port), "HOME": str(self.folder)}
        with (self.folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "--skip-pip", "--log-no-color"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
                cwd=self.folder,
            )

    def wait_running(self, timeout_s: float = 120.0) -> dict[str, Any]:
        """Wait until everything is set up; returns its own ``/api/config``."""
        ends = time.monotonic() + timeout_s
        state = "no answer"
        while time.monotonic() < ends:
            if self._process is None or self._process.poll() is not None:
                raise HomeAssistantFailed(f"Home Assistant ended while starting:\n{self._tail()}")
            try:
                config: dict[str, Any] = self.request("GET", "/api/config", timeout_s=3.0)
            except (OSError, ValueError):
                config = {}
            if config.get("recovery_mode") or config.get("safe_mode"):
                raise HomeAssistantFailed(f"Home Assistant is in recovery mode:\n{self._tail()}")
            state = config.get("state", state)
            if state == "RUNNING":
                return config
            time.sleep(0.1)
        raise HomeAssistantFailed(f"Home Assistant is {state} after {timeout_s:g} s:\n{self._tail()}")

    def request(self, method: str, path: str, body: Any = None, *, timeout_s: float = 30.0) -> Any:
        """Ask its REST API as the owner. Raises ``urllib.error.HTTPError`` on a refusal."""
        request = urllib.request.Request(  # noqa: S310 - loopback HTTP, made here
            f"{self.url}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310 - as above
            return json.loads(answer.read() or b"null")

    def stop(self, timeout_s: float = 40.0) -> None:
        """Let it end in order, its recorder's last rows written; kill it when it does not."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._forget()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._forget()

    def _forget(self) -> None:
        if self._process is not None:
            self._process.wait()
            if self._process.stdin:
                self._process.stdin.close()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _configure(self) -> None:
        self.folder.mkdir(parents=True)
        for file in CONFIG.glob("*.yaml"):
            shutil.copy(file, self.folder)
        self._store("onboarding", {"done": ["user", "core_config", "analytics", "integration"]}, version=4)
        groups = {"system-admin": "Administrators", "system-users": "Users", "system-read-only": "Read Only"}
        self._store(
            "auth",
            {
                "users": [_user(self._owner, "Anna", "system-admin"), _user(self._plain, "Guest", "system-users")],
                "groups": [{"id": key, "name": name} for key, name in groups.items()],
                "credentials": [],
                "refresh_tokens": [_refresh_token(self._owner), _refresh_token(self._plain)],
            },
        )

    def _store(self, key: str, data: dict[str, Any], *, version: int = 1) -> None:
        folder = self.folder / ".storage"
        folder.mkdir(exist_ok=True)
        content = {"version": version, "minor_version": 1, "key": key, "data": data}
        (folder / key).write_text(json.dumps(content), encoding="utf-8")
        (folder / key).chmod(0o600)

    def _tail(self) -> str:
        log = self.folder / "output.log"
        return log.read_text(encoding="utf-8", errors="replace")[-3000:] if log.exists() else ""


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _base64(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _user(login: _Login, name: str, group: str) -> dict[str, Any]:
    return {
        "id": login.user_id,
        "group_ids": [group],
        "is_owner": group == "system-admin",
        "is_active": True,
        "name": name,
        "system_generated": False,
        "local_only": False,
    }


def _refresh_token(login: _Login) -> dict[str, Any]:
    issued = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(login.issued_at_s))
    return {
        "id": login.token_id,
        "user_id": login.user_id,
        "client_id": None,
        "client_name": "Tests",
        "client_icon": None,
        "token_type": "long_lived_access_token",
        "created_at": issued,
        "access_token_expiration": float(_YEARS_S),
        "token": secrets.token_hex(64),
        "jwt_key": login.key,
        "last_used_at": None,
        "last_used_ip": None,
        "expire_at": None,
        "credential_id": None,
        "version": "tests",
    }
