"""Settings are read once, from one YAML file and the environment, into one frozen object.

Order: command line > environment > file > default. Environment: ``HA_INGESTOR_<SECTION>__<KEY>``, and
``HA_INGESTOR_CONFIG`` for the file itself; a secret may stand in a file named by the same variable with ``_FILE``; an
empty variable counts as not set. ``HA_URL`` with ``HA_TOKEN`` (or ``HA_TOKEN_FILE``), and the ``SUPERVISOR_TOKEN`` of a
Home Assistant app, make one home of their own, in place of one of the same name. No message repeats a secret.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from ingestor.errors import ConfigError

DEFAULT_FILE = Path("ha-ingestor.yaml")
DEMO_HOME = "demo"
PREFIX = "HA_INGESTOR_"
SUPERVISOR_URL = "http://supervisor/core"

#: What was expected, by Pydantic's name of the fault; its own words stand where this table has none.
EXPECTED: Final = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a section of `name: value` lines",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than_equal": "at most {le}",
    "list_type": "a list, such as [one, two]",
    "model_type": "a section of `name: value` lines",
    "path_type": "a path",
    "string_type": "text",
}


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number is expected")  # noqa: TRY004 - what Pydantic turns into a fault of this setting
    return value


def _a_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", text):
        raise ValueError("lower-case letters, digits, - and _ are expected")
    return text


def _an_address(text: str) -> str:
    if "@" in text:
        raise ValueError("an address without user and password is expected; the token is enough")
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", text):
        raise ValueError("an address as in the browser is expected, such as http://homeassistant.local:8123")
    return text.rstrip("/")


def _a_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value().strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("one word of printable ASCII is expected, as Home Assistant showed it")
    return SecretStr(text)


def _differing(homes: list[Home]) -> list[Home]:
    names = [home.name for home in homes]
    if len(set(names)) != len(names):
        raise ValueError("two homes have the same name; give each its own")
    return homes


Count = Annotated[int, BeforeValidator(_no_flag)]
Amount = Annotated[float, BeforeValidator(_no_flag), Field(allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Filter(_Section):
    """One half of the recorder's filter."""

    domains: list[str] = Field(default_factory=list)
    entities: list[str] = Field(default_factory=list)
    entity_globs: list[str] = Field(default_factory=list)


class Home(_Section):
    """One Home Assistant. ``url`` is its address as a browser would type it."""

    name: Annotated[str, AfterValidator(_a_name)] = "home"
    url: Annotated[str, AfterValidator(_an_address)]
    token: Annotated[SecretStr, AfterValidator(_a_secret)]
    include: Filter = Filter()
    exclude: Filter = Filter()


class Demo(_Section):
    """The demo home, played when no home is set: ``speed`` times as lively as a real one, after ``past_h`` hours."""

    speed: Annotated[Amount, Field(gt=0, le=10_000)] = 1.0
    past_h: Annotated[Amount, Field(ge=0, le=24 * 400)] = 24.0


class Http(_Section):
    """Where the API listens."""

    host: str = "127.0.0.1"
    port: Annotated[Count, Field(ge=1, le=65_535)] = 8080


class Ingest(_Section):
    """Where events are taken in at speed, beside the API and not through it. It listens on ``http.host``."""

    port: Annotated[Count, Field(ge=1, le=65_535)] = 8081


class Journal(_Section):
    """The write-ahead log of one shard: size at which a file is closed, and beyond which nothing more is taken."""

    segment_bytes: Annotated[Count, Field(ge=4_096)] = 32 * 1024 * 1024
    quota_bytes: Annotated[Count, Field(ge=4_096)] = 8 * 1024 * 1024 * 1024


class History(_Section):
    """The Delta table. A commit is made after ``commit_rows`` rows or ``commit_s`` seconds, whichever comes first."""

    commit_rows: Annotated[Count, Field(ge=1)] = 100_000
    commit_s: Annotated[Amount, Field(gt=0)] = 30.0
    compact_files: Annotated[Count, Field(ge=2)] = 20


class RayPorts(_Section):
    """Ray's own pages. They listen on loopback and need Ray's token."""

    dashboard: bool = True
    dashboard_port: Annotated[Count, Field(ge=1, le=65_535)] = 8265


def _half_of(cores: int) -> int:
    """Leave the other half to sources, history and answers (docs/adr/0005-hot-path.md)."""
    return max(1, min(64, cores // 2))


class Settings(_Section):
    """All settings, checked. Unknown names are refused."""

    homes: Annotated[list[Home], AfterValidator(_differing)] = Field(default_factory=list)
    data_dir: Path = Path("data")
    shards: Annotated[Count, Field(ge=1, le=64)] = Field(default_factory=lambda: _half_of(len(os.sched_getaffinity(0))))
    demo: Demo = Demo()
    http: Http = Http()
    ingest: Ingest = Ingest()
    journal: Journal = Journal()
    history: History = History()
    ray: RayPorts = RayPorts()

    @property
    def home_names(self) -> list[str]:
        """Name the homes that are watched: those set, or the demo home."""
        return [home.name for home in self.homes] or [DEMO_HOME]


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
    if file is None and environment.get(f"{PREFIX}CONFIG"):
        file = Path(environment[f"{PREFIX}CONFIG"])
    values = _read_file(file)
    for name, value in _from_environment(environment):
        _put(values, name, value)
    for dotted, value in (overrides or {}).items():
        if value is not None:
            _put(values, dotted.split("."), value)
    home = _home_from_environment(environment)
    if home:
        values["homes"] = _with_home(values.get("homes"), home)
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
        values = _parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}", "Name a readable file") from None
    except UnicodeDecodeError:
        raise ConfigError(str(path), "is no UTF-8 text", "Save it as UTF-8") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(str(path), "holds no settings", "Write `name: value` lines, see README")
    return values


class _Yaml(yaml.SafeLoader):
    """YAML in which a name given twice is a fault, not a silent choice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        """Refuse a repeated name."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is given twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parse(text: str, origin: str) -> Any:
    try:
        return yaml.load(text, _Yaml)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        fault = getattr(error, "problem", None) or str(error) or type(error).__name__
        fault = " ".join(fault.split())
        raise ConfigError(origin, f"is no YAML:{line} {fault}", "Mend it, or quote the text") from None


def _from_environment(environment: Mapping[str, str]) -> list[tuple[list[str], Any]]:
    found: list[tuple[list[str], Any]] = []
    for key, text in sorted(environment.items()):
        name = key.removeprefix(PREFIX)
        if not key.startswith(PREFIX) or name == "CONFIG" or not text.strip():
            continue
        if name.endswith("_FILE"):
            found.append((_path(name.removesuffix("_FILE")), _secret_from(key, text)))
        else:
            found.append((_path(name), _parse(text, key)))
    return found


def _path(name: str) -> list[str]:
    return [part.lower() for part in name.split("__")]


def _secret_from(key: str, path: str) -> str:
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(key, f"cannot read {path}: {error.strerror}", "Name a readable file") from None
    except UnicodeDecodeError:
        raise ConfigError(key, f"{path} is no UTF-8 text", "Name the file that holds the secret") from None
    if not secret:
        raise ConfigError(key, f"{path} is empty", "Put the secret into it, on one line")
    return secret


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:
    """Set one value; ``homes.0.token`` reaches into the list of homes."""
    inside: Any = values
    for depth, part in enumerate(path):
        key: Any = part
        if isinstance(inside, list) and part.isdecimal() and int(part) < len(inside):
            key = int(part)
        elif not isinstance(inside, dict):
            raise ConfigError(".".join(path[: depth + 1]), "has no place there", "See the list of settings in README")
        if depth == len(path) - 1:
            inside[key] = value
        else:
            inside = inside[key] if isinstance(inside, list) else inside.setdefault(key, {})


def _with_home(others: Any, home: dict[str, Any]) -> Any:
    if others is None:
        return [home]
    if not isinstance(others, list):
        return others
    return [home, *[each for each in others if not _is_named(each, home["name"])]]


def _is_named(home: Any, name: str) -> bool:
    return isinstance(home, dict) and home.get("name", "home") == name


def _home_from_environment(environment: Mapping[str, str]) -> dict[str, Any] | None:
    url, token = environment.get("HA_URL", "").strip(), environment.get("HA_TOKEN", "").strip()
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
    return {"name": "home", "url": url, "token": token}


def _clear(error: ValidationError, file: Path) -> ConfigError:
    """Turn the first fault into one line that names the setting, what it got, and the next step."""
    fault = error.errors(include_url=False, include_input=True)[0]
    dotted = ".".join(str(part) for part in fault["loc"]) or str(file)
    mend = f"Mend it in {file}, the environment or on the command line"
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(fault["loc"][-1]), _names_beside(fault["loc"]), n=1)
        return ConfigError(
            dotted, "is not a setting", f"Did you mean {near[0]}?" if near else "Remove it; README lists the settings"
        )
    if fault["type"] == "missing":
        return ConfigError(dotted, "is missing", f"Add it to {file}")
    return ConfigError(dotted, f"{_expected(fault)}{_got(fault)}", mend)


def _expected(fault: ErrorDetails) -> str:
    if fault["type"] == "value_error":
        return fault["msg"].removeprefix("Value error, ")
    if words := EXPECTED.get(fault["type"]):
        return f"{words.format_map(fault.get('ctx', {}))} is expected"
    return fault["msg"]


def _got(fault: ErrorDetails) -> str:
    """Repeat what was given, but never what may hold a secret."""
    got = fault["input"]
    if "token" in fault["loc"] or "@" in str(got) or isinstance(got, list | dict):
        return ""
    return f", got {got!r:.80}"


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
