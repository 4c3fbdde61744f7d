"""The commands and their options: what each prints, for people and with ``--json`` for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ingestor.errors import ConfigError, QueryError
from ingestor.settings import DEFAULT_FILE, Settings, load

from . import output
from .client import EXIT_REFUSED, Api
from .status_page import status_page

application = typer.Typer(
    name="ha-ingestor",
    help="Keep everything that happens in a Home Assistant home, and answer questions about it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - what Typer calls
    if wanted:
        from ingestor.version import VERSION

        output.console.print(VERSION)
        raise typer.Exit


@application.callback()
def main(
    *,
    _: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)] = False,
) -> None:
    """Keep everything that happens in a Home Assistant home, and answer questions about it."""


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
    status_page(answer)


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
    interval: Annotated[
        str | None, typer.Option("--history", help="Sum up in buckets of 1m, 5m, 1h, 1d, 1w or 1mo, oldest first.")
    ] = None,
    group_by: Annotated[str | None, typer.Option("--group-by", help="With --history: such as entity_id,kind.")] = None,
    aggregate: Annotated[
        str, typer.Option("--aggregate", help="With --history: count, min, max, mean, sum, first, last …")
    ] = "count",
    *,
    json: AsJson = False,
) -> None:
    """Ask the history: by filters, in time buckets, or with SQL (that directly from the data, running or not)."""
    if sql is not None:
        _sql(load(config, overrides={"data_dir": data_dir}), sql, json=json)
        return
    filters = {"entity_id": entity, "area_id": area, "domain": domain, "kind": kind, "home": home}
    times = {"start_time": start, "end_time": end}
    if interval is not None:
        from .history import show

        told = {"interval": interval, "group_by": group_by, "aggregate": aggregate}
        show(_api(config, port), limit=limit, as_json=json, **filters, **times, **told)
        return
    events = _api(config, port).pages("/api/v1/events", **filters, **times, limit=min(limit, 1000))
    shown = 0
    for shown, event in zip(range(1, limit + 1), events, strict=False):  # noqa: B007 - counted for what comes after
        output.as_json(event) if json else output.console.print(output.event_line(event), soft_wrap=True)
    if not shown:
        output.note("No event fits.")


@application.command()
def export(
    kind: Annotated[str, typer.Option("--format", help="json, ndjson, csv, parquet or arrow.")] = "ndjson",
    to: Annotated[Path | None, typer.Option("--to", help="File to write. Left out: standard output.")] = None,
    config: Config = None,
    port: Port = None,
    entity: Entity = None,
    area: Area = None,
    domain: Domain = None,
    kind_of: KindOption = None,
    home: Home = None,
    start: Annotated[str | None, typer.Option("--from", help="From this time on: RFC 3339, or -24h.")] = None,
    end: Annotated[str | None, typer.Option("--until", help="Before this time.")] = None,
    *,
    json: AsJson = False,
) -> None:
    """Write events to a file, oldest first, all that fit."""
    from .exporting import export as fetch

    filters = {"entity_id": entity, "area_id": area, "domain": domain, "kind": kind_of, "home": home}
    told = fetch(_api(config, port), kind, to, **filters, start_time=start, end_time=end)
    if to is None:
        return
    if json:
        output.as_json(told)
        return
    output.console.print(f"{to}: {output.size(told['bytes'])} in {told['seconds']:g} s", soft_wrap=True)


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
            [
                item["home"],
                _when(item["from"]),
                _when(item["to"]) or "still open",
                item["reason"],
                output.short(item["detail"] or "", 160),
            ]
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
        _refuse_sql(error)
    rows: list[dict[str, Any]] = found.to_pylist()
    if json:
        for row in rows:
            output.as_json(row)
        return
    output.table("", found.column_names, [list(row.values()) for row in rows], empty="No rows.")


def _refuse_sql(error: QueryError) -> NoReturn:
    why = " ".join(str(error.expected).split())
    output.note(f"ha-ingestor: the SQL was refused: {why}")
    raise SystemExit(EXIT_REFUSED) from None


def _when(text: str | None) -> str:
    return output.clock(text)[:19] if text else ""


def _flag(value: bool) -> str | None:  # noqa: FBT001 - one flag is all it takes
    return "true" if value else None
