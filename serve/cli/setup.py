"""``ha-ingestor init``: try the home's address and token before anything is written down."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import yaml
from pydantic import ValidationError

from ingestor.errors import ConfigError
from ingestor.settings import DEFAULT_FILE, Home, load

from .output import console
from .screen import command

TIMEOUT_S = 10.0


def connect_home(*, url: str, token: str, name: str, file: Path, force: bool) -> None:
    """Check the home, write the settings file (readable by its owner only), and say what comes next."""
    if file.exists() and not force:
        raise ConfigError("--file", f"{file} exists already", "Name another file, or replace it with --force")
    home = _home(url=url.strip(), token=token.strip(), name=name)
    version = _try(home.url, home.token.get_secret_value())
    values = {"name": home.name, "url": home.url, "token": home.token.get_secret_value()}
    _write(file, "# Settings of HA Ingestor. This file holds a token: keep it to yourself.\n" + _yaml(values))
    load(file, environment={})
    console.print(f"Connected to Home Assistant {version} at {home.url}. Written to {file}.", soft_wrap=True)
    given = "" if file == DEFAULT_FILE else f" --config {file}"
    console.print(f"Next: {command()} run{given}", soft_wrap=True)


def _home(**values: str) -> Home:
    try:
        return Home.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        words = fault["msg"].removeprefix("Value error, ")
        raise ConfigError(f"--{fault['loc'][0]}", words, "Give it as Home Assistant shows it") from None


def _yaml(home: dict[str, str]) -> str:
    return str(yaml.safe_dump({"homes": [home]}, sort_keys=False))


def _write(file: Path, content: str) -> None:
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        os.fchmod(descriptor, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(content)
    except OSError as error:
        raise ConfigError("--file", f"{file} cannot be written ({error.strerror})", "Name another file") from None


def _try(url: str, token: str) -> str:
    request = urllib.request.Request(f"{url}/api/config", headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - a Home's url is http or https
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - same
            return str(json.load(answer)["version"])
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.UNAUTHORIZED:
            raise ConfigError("--token", "Home Assistant refused it", "Create one under Profile, Security") from None
        raise ConfigError("--url", f"{url} answered {error.code}", "Is this Home Assistant?") from None
    except (ValueError, LookupError, TypeError, http.client.HTTPException):
        raise ConfigError("--url", f"{url} does not answer like Home Assistant", "Check address and port") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        fault = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise ConfigError("--url", f"{url} does not answer ({fault})", "Check address and port") from None
