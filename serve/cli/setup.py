"""``ha-ingestor init``: try the home's address and token before anything is written down."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from ingestor.errors import ConfigError
from ingestor.settings import load

from .output import console

TIMEOUT_S = 10.0


def connect_home(*, url: str, token: str, name: str, file: Path, force: bool) -> None:
    """Check the home, write the settings file (readable by its owner only), and say what comes next."""
    if file.exists() and not force:
        raise ConfigError("--file", f"{file} exists already", "Name another file, or replace it with --force")
    url = url.rstrip("/")
    version = _try(url, token)
    content = yaml.safe_dump({"homes": [{"name": name, "url": url, "token": token}]}, sort_keys=False)
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write("# Settings of HA Ingestor. This file holds a token: keep it to yourself.\n" + content)
    file.chmod(0o600)
    load(file, environment={})
    console.print(f"Connected to Home Assistant {version} at {url}. Written to {file}.")
    console.print("Next: ha-ingestor run")


def _try(url: str, token: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ConfigError("--url", f"{url} is not an http address", "Write it as in the browser: http://…:8123")
    request = urllib.request.Request(f"{url}/api/config", headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - checked above
            return str(json.load(answer)["version"])
    except urllib.error.HTTPError as error:
        if error.code == http.client.UNAUTHORIZED:
            raise ConfigError("--token", "Home Assistant refused it", "Create one under Profile, Security") from None
        raise ConfigError("--url", f"{url} answered {error.code}", "Is this Home Assistant?") from None
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        raise ConfigError("--url", f"{url} does not answer ({error})", "Check address and port") from None
