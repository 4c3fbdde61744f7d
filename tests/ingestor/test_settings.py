"""Settings under attack: precedence, secrets, and every wrong one answered by one line that says what to do."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.errors import ConfigError
from ingestor.settings import SUPERVISOR_URL, Settings, load

SECRET = "eyJ-very-secret"  # noqa: S105 - the tests look for it where it must not be
HOME = f'{{url: "http://x:8123", token: {SECRET}}}'


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(text: str | bytes, name: str = "s.yaml") -> Path:
    """Write a settings file into the test's folder, and name it as a user would: relative to there."""
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return Path(name)


def fault_of(file: Path | None, environment: dict[str, str] | None = None, **overrides: Any) -> str:
    """Load what must be refused; give the one line that the user reads."""
    with pytest.raises(ConfigError) as caught:
        load(file, environment=environment or {}, overrides=overrides)
    return str(caught.value)


def test_nothing_set_is_the_demo_home_on_loopback() -> None:
    """Without file and environment all is default, and nothing listens where others can reach it."""
    settings = load(environment={})
    assert settings == Settings()
    assert (settings.homes, settings.http.host, settings.http.port) == ([], "127.0.0.1", 8080)


@pytest.mark.parametrize(
    ("in_file", "in_environment", "on_command_line", "port"),
    [
        (None, None, None, 8080),
        (1001, None, None, 1001),
        (1001, "1002", None, 1002),
        (1001, "1002", 1003, 1003),
        (None, "1002", None, 1002),
        (None, None, 1003, 1003),
        (1001, None, 1003, 1003),
        (1001, "", None, 1001),
        (1001, " ", None, 1001),
    ],
)
def test_command_line_beats_environment_beats_file_beats_default(
    in_file: int | None, in_environment: str | None, on_command_line: int | None, port: int
) -> None:
    """The order holds for every combination; an empty variable counts as not set."""
    written(f"http: {{port: {in_file}}}" if in_file else "shards: 3", "ha-ingestor.yaml")
    environment = {} if in_environment is None else {"HA_INGESTOR_HTTP__PORT": in_environment}
    settings = load(environment=environment, overrides={"http.port": on_command_line})
    assert settings.http.port == port
    if not in_file:
        assert settings.shards == 3


def test_the_file_may_be_named_in_the_environment_and_the_command_line_wins() -> None:
    """``HA_INGESTOR_CONFIG`` names the file, ``--config`` another one."""
    written("shards: 3", "a.yaml")
    other = written("shards: 4", "b.yaml")
    environment = {"HA_INGESTOR_CONFIG": "a.yaml"}
    assert load(environment=environment).shards == 3
    assert load(other, environment=environment).shards == 4
    assert "no file nope.yaml" in fault_of(None, {"HA_INGESTOR_CONFIG": "nope.yaml"})


def test_a_secret_may_stand_in_a_file() -> None:
    """``_FILE`` works for ``HA_TOKEN`` and for a home's token in a list; the line end is no part of it."""
    written(f"{SECRET}\n", "token")
    of_env = load(environment={"HA_URL": "http://x:8123", "HA_TOKEN_FILE": "token"})
    file = written('homes: [{name: a, url: "http://a:1", token: x}, {name: b, url: "http://b:1"}]')
    of_list = load(file, environment={"HA_INGESTOR_HOMES__1__TOKEN_FILE": "token"})
    assert of_env.homes[0].token.get_secret_value() == SECRET
    assert of_list.homes[1].token.get_secret_value() == SECRET


def test_a_home_of_the_environment_stands_before_the_others_and_replaces_its_namesake() -> None:
    """``HA_URL`` with ``HA_TOKEN`` is the home named home; the file's other homes stay."""
    file = written('homes: [{url: "http://old:1", token: x}, {name: cabin, url: "http://cabin:1", token: y}]')
    settings = load(file, environment={"HA_URL": "http://new:8123/", "HA_TOKEN": SECRET})
    assert [(home.name, home.url) for home in settings.homes] == [
        ("home", "http://new:8123"),
        ("cabin", "http://cabin:1"),
    ]


def test_the_supervisor_is_asked_only_when_no_home_is_named() -> None:
    """Inside a Home Assistant app the Supervisor's token is enough; an explicit home wins over it."""
    assert load(environment={"SUPERVISOR_TOKEN": SECRET}).homes[0].url == SUPERVISOR_URL
    given_both = {"SUPERVISOR_TOKEN": "other", "HA_URL": "http://x:8123", "HA_TOKEN": SECRET}
    assert load(environment=given_both).homes[0].url == "http://x:8123"


def test_a_secret_is_never_shown() -> None:
    """Neither ``repr`` nor ``str`` nor a dump shows the token, and it survives pickling to another process."""
    settings = load(environment={"HA_URL": "http://x:8123", "HA_TOKEN": SECRET})
    for shown in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert SECRET not in shown
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - our own bytes


WRONG: list[tuple[str | bytes, dict[str, str], str]] = [
    # the file itself
    ("homes: [\nname: x", {}, "s.yaml: is no YAML: line 2 expected ',' or ']', but got '<stream end>'. Mend it"),
    ("a: b: c", {}, "s.yaml: is no YAML: line 1 mapping values are not allowed here. Mend it"),
    (b"\xff\xfe", {}, "s.yaml: is no UTF-8 text. Save it as UTF-8"),
    ("- a\n- b", {}, "s.yaml: holds no settings. Write `name: value` lines"),
    ("just words", {}, "s.yaml: holds no settings. Write `name: value` lines"),
    ("http: {port: 1, port: 2}", {}, "s.yaml: is no YAML: line 1 port is given twice. Mend it"),
    ("shards: !!python/object:os.system x", {}, "s.yaml: is no YAML: line 1 could not determine a constructor"),
    ("[1]: 2", {}, "s.yaml: is no YAML: line 1 found unhashable key"),
    # names
    ("shard: 3", {}, "shard: is not a setting. Did you mean shards?"),
    ("colour: red", {}, "colour: is not a setting. Remove it; README lists the settings"),
    ("http: {prot: 1}", {}, "http.prot: is not a setting. Did you mean port?"),
    (
        f"homes: [{HOME[:-1]}, includes: {{domains: [a]}}}}]",
        {},
        "homes.0.includes: is not a setting. Did you mean incl",
    ),
    ("", {"HA_INGESTOR_SHRDS": "5"}, "shrds: is not a setting. Did you mean shards?"),
    ("5: 3", {}, "5: Keys should be strings, got 5"),
    # types and ranges
    ("shards: many", {}, "shards: a whole number is expected, got 'many'. Mend it in s.yaml"),
    ("shards: 2.5", {}, "shards: a whole number is expected, got 2.5"),
    ("shards: true", {}, "shards: a number is expected, got True"),
    ("shards: 0", {}, "shards: at least 1 is expected, got 0"),
    ("http: {port: 99999}", {}, "http.port: at most 65535 is expected, got 99999"),
    ("", {"HA_INGESTOR_HTTP__PORT": "abc"}, "http.port: a whole number is expected, got 'abc'"),
    ("", {"HA_INGESTOR_SHARDS": "[1"}, "HA_INGESTOR_SHARDS: is no YAML: line 1 expected ',' or ']'"),
    ("demo: {speed: -1}", {}, "demo.speed: more than 0 is expected, got -1"),
    ("demo: {speed: .inf}", {}, "demo.speed: "),
    ("http: 5", {}, "http: a section of `name: value` lines is expected, got 5"),
    ("http: 5", {"HA_INGESTOR_HTTP__PORT": "1"}, "http.port: has no place there. See the list of settings"),
    ("ray: {dashboard: perhaps}", {}, "ray.dashboard: true or false is expected, got 'perhaps'"),
    ("data_dir: [a]", {}, "data_dir: a path is expected."),
    # homes
    ("homes: 3", {}, "homes: a list, such as [one, two] is expected, got 3"),
    ("homes: 3", {"HA_URL": "http://x:1", "HA_TOKEN": SECRET}, "homes: a list, such as [one, two] is expected, got 3"),
    ("homes: [3]", {"HA_URL": "http://x:1", "HA_TOKEN": SECRET}, "homes.1: a section"),
    ("homes: [null]", {}, "homes.0: a section of `name: value` lines is expected, got None"),
    ('homes: [{url: "http://x:1"}]', {}, "homes.0.token: is missing. Add it to s.yaml"),
    (f"homes: [{{token: {SECRET}}}]", {}, "homes.0.url: is missing. Add it to s.yaml"),
    (f"homes: [{{url: 'x:1', token: {SECRET}}}]", {}, "homes.0.url: an address as in the browser is expected"),
    (f"homes: [{{url: 'http://me:{SECRET}@x', token: a}}]", {}, "homes.0.url: an address without user and password"),
    (f"homes: [{HOME[:-1]}, name: My Home}}]", {}, "homes.0.name: lower-case letters, digits, - and _ are expected"),
    (f"homes: [{HOME}, {HOME}]", {}, "homes: two homes have the same name; give each its own. Mend it"),
    (f"homes: {HOME}", {}, "homes: a list, such as [one, two] is expected. Mend it"),
    ('homes: [{url: "http://x:1", token: ""}]', {}, "homes.0.token: one word of printable ASCII is expected"),
    (f'homes: [{{url: "http://x:1", token: "{SECRET}\\n{SECRET}"}}]', {}, "homes.0.token: one word of printable ASCII"),
    ('homes: [{url: "http://x:1", token: 12345}]', {}, "homes.0.token: text is expected. Mend it"),
    (f"homes: [{HOME[:-1]}, include: {{domains: light}}}}]", {}, "homes.0.include.domains: a list, such as"),
    ("", {"HA_URL": "http://x:1"}, "HA_TOKEN: is not set, but HA_URL is. Create a long-lived token"),
    ("", {"HA_URL": "http://x:1", "HA_TOKEN": " "}, "HA_TOKEN: is not set, but HA_URL is. Create a long-lived token"),
    ("", {"HA_TOKEN": SECRET}, "HA_URL: is not set, but HA_TOKEN is. Set HA_URL, for example"),
    ("", {"HA_URL": "x:8123", "HA_TOKEN": SECRET}, "homes.0.url: an address as in the browser is expected"),
    ("", {"HA_URL": "http://x:1", "HA_TOKEN_FILE": "/nope"}, "HA_TOKEN_FILE: cannot read /nope: No such file"),
    ("", {"HA_INGESTOR_HOMES__4__TOKEN": SECRET}, "homes: a list, such as [one, two] is expected. Mend it"),
    # doors
    ("http: {host: 0.0.0.0}", {}, "http.host: 0.0.0.0 is reachable by others, and no access token protects the API. K"),
    ("http: {host: '::'}", {}, "http.host: :: is reachable by others"),
    ("http: {host: nas.local}", {}, "http.host: nas.local is reachable by others"),
]


@pytest.mark.parametrize(("text", "environment", "line"), WRONG)
def test_a_wrong_setting_is_one_line_that_names_it_and_the_next_step(
    text: str | bytes, environment: dict[str, str], line: str
) -> None:
    """Each of them is told with its name, what was expected, and what to do; never in two lines, never a secret."""
    told = fault_of(written(text), environment)
    assert told.startswith(line)
    assert "\n" not in told
    assert SECRET not in told
    assert len(told) < 250


def test_an_unreadable_file_is_named() -> None:
    """A folder in place of a file, a missing file, an empty secret, a binary secret."""
    Path("folder").mkdir()
    assert fault_of(Path("folder")) == "folder: cannot be read: Is a directory. Name a readable file"
    assert fault_of(Path("nope")) == "--config: there is no file nope. Create it with `ha-ingestor init`"
    written("\n", "empty")
    written(b"\xff\xfe\xfa", "binary")
    for name, fault in (("empty", "is empty"), ("binary", "is no UTF-8 text")):
        assert fault in fault_of(None, {"HA_URL": "http://x:1", "HA_TOKEN_FILE": name})


@given(text=st.text(max_size=40), key=st.sampled_from(["SHARDS", "HOMES", "HTTP", "HTTP__PORT", "DATA_DIR", "X__Y__Z"]))
def test_any_text_in_the_environment_is_taken_or_refused_in_one_line(text: str, key: str) -> None:
    """Whatever stands in a variable, the answer is settings or a ``ConfigError``, nothing else."""
    try:
        load(environment={f"HA_INGESTOR_{key}": text})
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017 - being refused is one of two right answers


@pytest.mark.parametrize(("cores", "shards"), [(1, 1), (2, 1), (3, 1), (4, 2), (16, 8), (256, 64)])
def test_half_the_cores_are_left_to_others(monkeypatch: pytest.MonkeyPatch, cores: int, shards: int) -> None:
    """As many shards as half the cores, at least one and at most what may be set."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert Settings().shards == shards
