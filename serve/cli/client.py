"""Ask a running product over its own HTTP API, with nothing but the standard library, so that commands start fast."""

from __future__ import annotations

import http.client
import json
import sys
import urllib.parse
from collections.abc import Iterator
from typing import Any, NoReturn

from ingestor.settings import Settings

TIMEOUT_S = 30.0
EXPORT_TIMEOUT_S = 300.0
CHUNK_BYTES = 1 << 18
EXIT_NOT_RUNNING = 3
EXIT_REFUSED = 4


class Api:
    """The product that these settings describe."""

    def __init__(self, settings: Settings) -> None:
        self._host, self._port = settings.http.host, settings.http.port

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self._host}:{self._port}"

    def running(self) -> bool:
        """Tell whether somebody listens there."""
        try:
            self._request("GET", "/livez", timeout_s=2.0)
        except OSError:
            return False
        return True

    def get(self, path: str, **parameters: Any) -> Any:
        """Answer of a GET, decoded. Ends the program with one line when there is none, or a refusal."""
        return self._decoded("GET", _with(path, parameters))

    def post(self, path: str, body: bytes = b"", **parameters: Any) -> Any:
        """Answer of a POST, decoded."""
        return self._decoded("POST", _with(path, parameters), body)

    def pages(self, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """All items of a list, page after page."""
        cursor: str | None = None
        while True:
            page = self.get(path, **parameters, cursor=cursor)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def stream(self, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Events of a server-sent stream, until it ends."""
        try:
            response = self._request("GET", _with(path, parameters), timeout_s=60.0)
        except OSError as error:
            self._not_running(error)
        if response.status != http.client.OK:
            self._refused(response.read())
        data: list[str] = []
        for raw in response:
            line = raw.decode("utf-8").rstrip("\r\n")
            if line.startswith("data:"):
                data.append(line[5:].lstrip())
            elif not line and data:
                yield json.loads("\n".join(data))
                data = []

    def content(self, path: str, **parameters: Any) -> Iterator[bytes]:
        """Yield the content of a GET as it comes. Raises ``OSError`` when it is cut off before its end."""
        try:
            response = self._request("GET", _with(path, parameters), timeout_s=EXPORT_TIMEOUT_S)
        except OSError as error:
            self._not_running(error)
        if response.status != http.client.OK:
            self._refused(response.read())
        try:
            while part := response.read1(CHUNK_BYTES):
                yield part
            if response.length:
                raise ConnectionResetError("the connection was closed before the end")
        except http.client.HTTPException as error:
            raise ConnectionResetError(f"the connection was closed before the end: {error!r}") from error
        finally:
            response.close()

    def _decoded(self, method: str, path: str, body: bytes = b"") -> Any:
        try:
            response = self._request(method, path, body)
            content = response.read()
        except OSError as error:
            self._not_running(error)
        if response.status >= http.client.BAD_REQUEST:
            self._refused(content)
        return json.loads(content)

    def _request(
        self, method: str, path: str, body: bytes = b"", timeout_s: float = TIMEOUT_S
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        headers = {"Content-Type": "application/x-ndjson"} if body else {}
        connection.request(method, path, body or None, headers)
        return connection.getresponse()

    def _not_running(self, error: OSError) -> NoReturn:
        fault = error.strerror or str(error) or type(error).__name__
        sys.stderr.write(f"ha-ingestor: nobody answers at {self.url} ({fault}). Start it with `ha-ingestor run`.\n")
        raise SystemExit(EXIT_NOT_RUNNING)

    def _refused(self, content: bytes) -> NoReturn:
        try:
            problem = json.loads(content)
            line = str(problem["detail"])
        except (ValueError, KeyError, TypeError):
            line = content.decode("utf-8", "replace")[:300]
        sys.stderr.write(f"ha-ingestor: {line}\n")
        raise SystemExit(EXIT_REFUSED)


def _with(path: str, parameters: dict[str, Any]) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"{path}?{urllib.parse.urlencode(given)}" if given else path
