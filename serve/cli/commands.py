"""The commands and their options: what each prints, for people and with ``--json`` for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ingestor.errors import ConfigError, QueryError
from ingestor.settings import DEFAULT_FILE, Settings, load

from . import output
from .client import Api

application = typer.Typer(
    name="ha-ingestor",
    help="Keeps everything that happens in a Home Assistant home, and answers questions about it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
quarantine = typer.Typer(help="Events that could not be mended.", no_args_is_help=True)
application.add_typer(quarantine, name="quarantine")

Config = Annotated[Path | None, typer.Option("--config", help=f"Settings file (default {DEFAULT_FILE}, if there).")]
Data = Annotated[Path | None, typer.Option("--data-dir", help="Where everything is kept.")]
Port = Annotated[int | None, typer.Option("--port", help="Port of the API.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one document a line.")]
Entity = Annotated[str | None, typer.Option("--entity", help="Only this entity; several with commas.")]
Area = Annotated[str | None, typer.Option("--area", help="Only this area.")]
Domain = Annotated[str | None, typer.Option("--domain", help="Only this domain, such as light.")]
KindOption = Annotated[str | None, typer.Option("--kind", help="Only state, automation, service, device, user …")]
Home = Annotated[str | None, typer.Option("--home", help="Only this home.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")]


@application.command()
def run(
    config: Config = None,
    data_dir: Data = None,
    port: Port = None,
    shards: Annotated[int | None, typer.Option(help="Number of shards.")] = None,
    speed: Annotated[float | None, typer.Option(help="How lively the demo home is.")] = None,
) -> None:
    """Capture everything, until Ctrl-C. Without a configured home it plays a demo home."""
    from .running import run as run_product

    overrides = {"http.port": port, "data_dir": data_dir, "shards": shards, "demo.speed": speed}
    raise SystemExit(run_product(load(config, overrides=overrides)))


@application.command()
def init(
    url: Annotated[str, typer.Option(prompt="Address of Home Assistant (http://…:8123)", help="Its address.")],
    token: Annotated[
        str,
        typer.Option(prompt="Long-lived access token", hide_input=True, envvar="HA_TOKEN", help="An access token."),
    ],
    name: Annotated[str, typer.Option(help="How the home is called here.")] = "home",
    file: Annotated[Path, typer.Option("--file", help="Settings file to write.")] = DEFAULT_FILE,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Connect a real home: try its address and token, then write the settings file."""
    from .setup import connect_home

    connect_home(url=url, token=token, name=name, file=file, force=force)


@application.command()
def status(config: Config = None, port: Port = None, *, json: AsJson = False) -> None:
    """Show what runs, what was captured, and where every event is."""
    answer = _api(config, port).get("/api/v1/status")
    if json:
        output.as_json(answer)
        return
    kept = answer["counts"]
    output.table(
        f"HA Ingestor is {answer['phase']}",
        ["received", "stored", "duplicate", "filtered", "quarantined", "in flight", "unaccounted"],
        [
            [
                f"{kept[name]:,}"
                for name in ("received", "stored", "duplicate", "filtered", "quarantined", "in_flight", "balance")
            ]
        ],
        empty="",
    )
    output.table(
        "Homes",
        ["home", "state", "version", "last event", "missing kinds"],
        [
            [
                each.get("home"),
                each["state"],
                each.get("version"),
                output.from_us(each.get("last_event_us")),
                len(each.get("missing", [])),
            ]
            for each in answer["sources"]
        ],
        empty="No home.",
    )
    output.table(
        "Shards",
        ["shard", "epoch", "entities", "stored", "last seq", "commit p50", "commit p99"],
        [
            [
                each.get("shard"),
                each.get("epoch"),
                each.get("entities"),
                each.get("stored"),
                each.get("last_seq"),
                _ms(each.get("commit_p50_ms")),
                _ms(each.get("commit_p99_ms")),
            ]
            for each in answer["shards"]
        ],
        empty="No shard.",
    )
    history = answer["history"]
    output.console.print(
        f"History: {history.get('rows', 0):,} rows in {history.get('files', 0)} files, "
        f"{output.size(history.get('bytes', 0))}. Open gaps: {answer['gaps']['open']}."
    )


@application.command()
def tail(
    config: Config = None,
    port: Port = None,
    entity: Entity = None,
    area: Area = None,
    domain: Domain = None,
    kind: KindOption = None,
    home: Home = None,
    count: Annotated[int | None, typer.Option("--count", "-n", help="Stop after so many events.")] = None,
    *,
    json: AsJson = False,
) -> None:
    """Show events as they happen, until Ctrl-C."""
    filters = {"entity_id": entity, "area_id": area, "domain": domain, "kind": kind, "home": home}
    shown = 0
    try:
        for event in _api(config, port).stream("/api/v1/events/stream", **filters):
            output.as_json(event) if json else output.console.print(output.event_line(event), soft_wrap=True)
            shown += 1
            if shown == count:
                return
    except KeyboardInterrupt:
        return


@application.command()
def query(
    sql: Annotated[
        str | None, typer.Argument(help="SQL over the view `events`, such as: select count(*) from events")
    ] = None,
    config: Config = None,
    data_dir: Data = None,
    port: Port = None,
    entity: Entity = None,
    area: Area = None,
    domain: Domain = None,
    kind: KindOption = None,
    home: Home = None,
    start: Annotated[str | None, typer.Option("--from", help="From this time on: RFC 3339, or -24h.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Before this time.")] = None,
    limit: Limit = 20,
    *,
    json: AsJson = False,
) -> None:
    """Ask the history: by filters, or with SQL (read directly from the data directory, running or not)."""
    if sql is not None:
        _sql(load(config, overrides={"data_dir": data_dir}), sql, json=json)
        return
    filters = {"entity_id": entity, "area_id": area, "domain": domain, "kind": kind, "home": home}
    times = {"start_time": start, "end_time": end}
    events = _api(config, port).pages("/api/v1/events", **filters, **times, limit=min(limit, 1000))
    for _, event in zip(range(limit), events, strict=False):
        output.as_json(event) if json else output.console.print(output.event_line(event), soft_wrap=True)


@application.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Recorded frames or events: NDJSON, plain, .gz or .zst.")],
    config: Config = None,
    port: Port = None,
    home: Home = None,
    *,
    json: AsJson = False,
) -> None:
    """Send a recorded file through the same doors as a live home. Repeating it stores nothing twice."""
    from .replaying import send

    answer = send(_api(config, port), file, home=home)
    if json:
        output.as_json(answer)
        return
    output.console.print(
        f"{answer['received']:,} events sent: {answer['accepted']:,} stored, {answer['duplicate']:,} known already, "
        f"{answer['filtered']:,} filtered, {answer['quarantined']:,} quarantined; {answer['rate']:,.0f} events/s"
    )


@application.command()
def gaps(
    config: Config = None,
    port: Port = None,
    home: Home = None,
    limit: Limit = 50,
    *,
    open_only: Annotated[bool, typer.Option("--open", help="Only gaps that are still open.")] = False,
    json: AsJson = False,
) -> None:
    """List the spans in which events may be missing, and why."""
    items = _api(config, port).get("/api/v1/gaps", home=home, limit=limit, open_only=_flag(open_only))["items"]
    if json:
        for item in items:
            output.as_json(item)
        return
    output.table(
        "Gaps",
        ["home", "from", "to", "reason", "detail"],
        [
            [item["home"], _when(item["from"]), _when(item["to"]) or "still open", item["reason"], item["detail"]]
            for item in items
        ],
        empty="No gap: nothing is known to be missing.",
    )


@quarantine.command("list")
def quarantine_list(
    config: Config = None, port: Port = None, home: Home = None, limit: Limit = 50, *, json: AsJson = False
) -> None:
    """List the events that could not be mended, with the reason."""
    items = _api(config, port).get("/api/v1/quarantine", home=home, limit=limit)["items"]
    if json:
        for item in items:
            output.as_json(item)
        return
    output.table(
        "Quarantine",
        ["id", "received", "home", "reason", "field", "detail"],
        [
            [
                item["quarantine_id"],
                _when(item["received_at"]),
                item["home"],
                item["reason"],
                item.get("field"),
                item["detail"],
            ]
            for item in items
        ],
        empty="The quarantine is empty.",
    )


@quarantine.command("retry")
def quarantine_retry(
    quarantine_id: Annotated[str, typer.Argument(help="Its id, from `quarantine list`.")],
    config: Config = None,
    port: Port = None,
    *,
    json: AsJson = False,
) -> None:
    """Send one of them through the pipeline again."""
    answer = _api(config, port).post(f"/api/v1/quarantine/{quarantine_id}/retry")
    if json:
        output.as_json(answer)
        return
    reason = f": {answer['reason']}" if answer.get("reason") else ""
    output.console.print(f"{quarantine_id} is {answer['outcome']}{reason}")


def _api(config: Path | None, port: int | None) -> Api:
    return Api(load(config, overrides={"http.port": port}))


def _sql(settings: Settings, text: str, *, json: bool) -> None:
    from ingestor.history import Archive

    if not settings.data_dir.is_dir():
        raise ConfigError(
            "data_dir", f"there is no {settings.data_dir}", "Start `ha-ingestor run` once, or name another"
        )
    try:
        found = Archive(settings.data_dir).sql(text)
    except QueryError as error:
        output.errors.print(f"ha-ingestor: {error}")
        raise SystemExit(4) from None
    rows: list[dict[str, Any]] = found.to_pylist()
    if json:
        for row in rows:
            output.as_json(row)
        return
    output.table("", found.column_names, [list(row.values()) for row in rows], empty="No rows.")


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} ms"


def _when(text: str | None) -> str:
    return output.clock(text) if text else ""


def _flag(value: bool) -> str | None:  # noqa: FBT001 - one flag is all it takes
    return "true" if value else None
