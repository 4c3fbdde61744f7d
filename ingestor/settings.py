"""Settings are read once, from one YAML file and the environment, into one frozen object.

Order: command line > environment > file > default. Environment: ``HA_INGESTOR_<SECTION>__<KEY>``; a secret may stand
in a file named by the same variable with ``_FILE``. ``HA_URL`` with ``HA_TOKEN`` (or ``HA_TOKEN_FILE``), and the
``SUPERVISOR_TOKEN`` of a Home Assistant app, make one home of their own.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from ingestor.errors import ConfigError

DEFAULT_FILE = Path("ha-ingestor.yaml")
PREFIX = "HA_INGESTOR_"
SUPERVISOR_URL = "http://supervisor/core"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Filter(_Section):
    """One half of the recorder's filter."""

    domains: list[str] = Field(default_factory=list)
    entities: list[str] = Field(default_factory=list)
    entity_globs: list[str] = Field(default_factory=list)


class Home(_Section):
    """One Home Assistant. ``url`` is its address as a browser would type it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] = "home"
    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/\S*)?$")]
    token: SecretStr
    include: Filter = Filter()
    exclude: Filter = Filter()


class Demo(_Section):
    """The demo home, played when no home is set: ``speed`` times as lively as a real one, after ``past_h`` hours."""

    speed: Annotated[float, Field(gt=0, le=10_000)] = 1.0
    past_h: Annotated[float, Field(ge=0, le=24 * 400)] = 24.0


class Http(_Section):
    """Where the API listens."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 8080


class Journal(_Section):
    """The write-ahead log of one shard: size at which a file is closed, and beyond which nothing more is taken."""

    segment_bytes: Annotated[int, Field(ge=4_096)] = 32 * 1024 * 1024
    quota_bytes: Annotated[int, Field(ge=4_096)] = 8 * 1024 * 1024 * 1024


class History(_Section):
    """The Delta table. A commit is made after ``commit_rows`` rows or ``commit_s`` seconds, whichever comes first."""

    commit_rows: Annotated[int, Field(ge=1)] = 100_000
    commit_s: Annotated[float, Field(gt=0)] = 30.0
    compact_files: Annotated[int, Field(ge=2)] = 20


class RayPorts(_Section):
    """Ray's own pages. They listen on loopback and need Ray's token."""

    dashboard: bool = True
    dashboard_port: Annotated[int, Field(ge=1, le=65_535)] = 8265


class Settings(_Section):
    """All settings, checked. Unknown names are refused."""

    homes: list[Home] = Field(default_factory=list)
    data_dir: Path = Path("data")
    shards: Annotated[int, Field(ge=1, le=64)] = 2
    demo: Demo = Demo()
    http: Http = Http()
    journal: Journal = Journal()
    history: History = History()
    ray: RayPorts = RayPorts()

    @field_validator("homes")
    @classmethod
    def _names_differ(cls, homes: list[Home]) -> list[Home]:
        names = [home.name for home in homes]
        if len(set(names)) != len(names):
            raise ValueError("two homes have the same name")
        return homes


def load(
    file: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read, merge and check. ``overrides`` are dotted names from the command line.

    Raises ``ConfigError`` that names the setting, the fault and the next step.
    """
    environment = os.environ if environment is None else environment
    values = _read_file(file)
    for name, value in _from_environment(environment):
        _put(values, name, value)
    for dotted, value in (overrides or {}).items():
        if value is not None:
            _put(values, dotted.split("."), value)
    home = _home_from_environment(environment)
    if home:
        values["homes"] = [home, *[h for h in values.get("homes") or [] if h.get("name", "home") != home["name"]]]
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise _clear(error, file or DEFAULT_FILE) from None
    _refuse_open_door(settings)
    return settings


def _read_file(file: Path | None) -> dict[str, Any]:
    path = file or DEFAULT_FILE
    if not path.exists():
        if file is None:
            return {}
        raise ConfigError("--config", f"there is no file {file}", "Create it with `ha-ingestor init`")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        where = getattr(error, "problem_mark", None)
        line = f":{where.line + 1}" if where else ""
        fault = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{path}{line}", f"cannot be read: {fault}", "Mend the YAML") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(str(path), "holds no settings", "Write `name: value` lines, see README")
    return values


def _from_environment(environment: Mapping[str, str]) -> list[tuple[list[str], Any]]:
    found = []
    for key, text in sorted(environment.items()):
        if not key.startswith(PREFIX):
            continue
        name, value = key.removeprefix(PREFIX), text
        if name == "CONFIG":
            continue
        if name.endswith("_FILE"):
            name, value = name.removesuffix("_FILE"), _secret_from(key, text)
        found.append(([part.lower() for part in name.split("__")], yaml.safe_load(value) if value else value))
    return found


def _secret_from(key: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(key, f"cannot read {path}: {error.strerror}", "Name a readable file") from None


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        inner = values.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(".".join(path), f"{part} is not a section", "See the list of settings in README")
        values = inner
    values[path[-1]] = value


def _home_from_environment(environment: Mapping[str, str]) -> dict[str, Any] | None:
    url, token = environment.get("HA_URL"), environment.get("HA_TOKEN")
    if not token and environment.get("HA_TOKEN_FILE"):
        token = _secret_from("HA_TOKEN_FILE", environment["HA_TOKEN_FILE"])
    if not url and not token and environment.get("SUPERVISOR_TOKEN"):
        url, token = SUPERVISOR_URL, environment["SUPERVISOR_TOKEN"]
    if not url and not token:
        return None
    if not url:
        raise ConfigError(
            "HA_URL", "is not set, but HA_TOKEN is", "Set HA_URL, for example http://homeassistant.local:8123"
        )
    if not token:
        raise ConfigError(
            "HA_TOKEN", "is not set, but HA_URL is", "Create a long-lived token in Home Assistant (Profile, Security)"
        )
    return {"name": "home", "url": url.rstrip("/"), "token": token}


def _clear(error: ValidationError, file: Path) -> ConfigError:
    """Turn the first fault into one line that names the setting, what it got, and the nearest name."""
    fault = error.errors(include_url=False, include_input=True)[0]
    dotted = ".".join(str(part) for part in fault["loc"]) or str(file)
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(fault["loc"][-1]), _names_beside(fault["loc"]), n=1)
        return ConfigError(
            dotted, "is not a setting", f"Did you mean {near[0]}?" if near else "Remove it; README lists the settings"
        )
    got = "" if "token" in dotted else f" (got {fault['input']!r})"
    message = re.sub(r"^Value error, ", "", fault["msg"])
    return ConfigError(dotted, f"{message}{got}", f"Mend it in {file} or the environment")


def _names_beside(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Settings
    for part in location[:-1]:
        if isinstance(part, int) or not hasattr(model, "model_fields"):
            continue
        annotation = model.model_fields[part].annotation
        model = getattr(annotation, "__args__", (annotation,))[0]
    return list(getattr(model, "model_fields", {}))


def _refuse_open_door(settings: Settings) -> None:
    host = settings.http.host
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise ConfigError(
            "http.host",
            f"{host} is reachable by others, and no access token protects the API",
            "Keep 127.0.0.1 and reach it through an ssh tunnel or an authenticating proxy",
        )
