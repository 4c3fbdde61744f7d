"""One table from error to HTTP answer: what went wrong, whose turn it is, and the RFC 9457 document that says so.

An answer never shows a stack, SQL or a path of the server. What nobody expected is logged under a ``trace_id`` that the
answer repeats.
"""

from __future__ import annotations

import difflib
import html
import math
import secrets
import traceback
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ingestor import errors, telemetry

log = structlog.get_logger(__name__)

GOT_CHARS = 120
STACK_CHARS = 8000
RETRY_AFTER_S = 2.0


class BodyRefused(errors.IngestorError):
    """A request body that is not taken in. ``fault`` and ``next_step`` are sentences without a full stop."""

    def __init__(self, fault: str, next_step: str) -> None:
        super().__init__(fault, next_step)
        self.fault, self.next_step = fault, next_step

    def __str__(self) -> str:
        return f"{self.fault}. {self.next_step}."


class UnreadableBody(BodyRefused):
    """The body is not what its headers say."""


class TooLarge(BodyRefused):
    """The body, or what it unpacks to, passes a limit."""


class UnsupportedType(BodyRefused):
    """A ``Content-Type`` or ``Content-Encoding`` that is not read here."""


class ForeignHost(BodyRefused):
    """The ``Host`` header names someone else: a page may be rebinding its DNS name to us."""


class ForeignOrigin(BodyRefused):
    """A page of another origin tries to change something here."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of problem: its status, the stable name in ``type``, a title, and whose turn it is."""

    status: int
    name: str
    title: str
    next_step: str


UNEXPECTED = Problem(500, "unexpected", "Something unexpected happened", "Look the trace_id up in the log.")

#: The nearest class in an error's family decides.
PROBLEMS: dict[type[BaseException], Problem] = {
    errors.QueryError: Problem(400, "bad-question", "The question cannot be answered", "Mend what errors names."),
    UnreadableBody: Problem(400, "unreadable-body", "The body cannot be read", "Mend the body; none of it was stored."),
    ForeignOrigin: Problem(403, "foreign-origin", "Not from another site", "Use its own pages, or a program."),
    errors.NotFound: Problem(404, "not-found", "There is no such thing", "Check the name; lists show what exists."),
    TooLarge: Problem(413, "too-large", "The body is too large", "Send smaller parts; none of it was stored."),
    UnsupportedType: Problem(415, "unsupported-type", "This type or coding is not read", "Send what detail says."),
    ForeignHost: Problem(421, "foreign-host", "The Host header names someone else", "Use the server's own address."),
    errors.Overloaded: Problem(503, "overloaded", "Busy", "Repeat after Retry-After seconds; repeats are recognised."),
    errors.JournalFull: Problem(
        507, "journal-full", "The journal reached its quota", "Free space, or raise journal.quota_bytes."
    ),
    errors.JournalError: Problem(503, "journal-unavailable", "Events cannot be written down now", "Repeat later."),
    errors.HistoryError: Problem(503, "history-unavailable", "The history cannot be read now", "Repeat later."),
    errors.IngestorError: Problem(503, "unavailable", "A part of the ingestor is away", "Repeat later; see status."),
    TimeoutError: Problem(503, "too-slow", "The answer took too long", "Ask for less, or repeat later."),
    Exception: UNEXPECTED,
}

#: What the web framework itself refuses.
_BY_STATUS: dict[int, Problem] = {
    400: PROBLEMS[errors.QueryError],
    404: PROBLEMS[errors.NotFound],
    405: Problem(405, "wrong-method", "The path does not know this method", "Use a method that Allow names."),
    413: PROBLEMS[TooLarge],
    415: PROBLEMS[UnsupportedType],
}


def problem_of(error: BaseException) -> Problem:
    """Look an error up."""
    return next((PROBLEMS[family] for family in type(error).__mro__ if family in PROBLEMS), UNEXPECTED)


def answer(error: BaseException, path: str) -> Response:
    """Word the answer to an error that was raised while ``path`` was served."""
    problem = problem_of(error)
    more: dict[str, Any] = {}
    headers: dict[str, str] = {}
    detail = str(error)
    if isinstance(error, errors.QueryError):
        more["errors"] = [{"field": error.field, "got": shorten(error.got), "expected": error.expected}]
        detail = f"{error.field}: got {shorten(error.got)}, expected {error.expected}"
    if problem is UNEXPECTED:
        more["trace_id"] = secrets.token_hex(8)
        detail = problem.next_step
        log.error(telemetry.REQUEST_FAILED, trace_id=more["trace_id"], path=path, stack=_stack(error))
    elif not isinstance(error, errors.QueryError | errors.NotFound | errors.Overloaded | BodyRefused):
        log.warning(telemetry.REQUEST_REFUSED, path=path, problem=problem.name, detail=detail)
        detail = problem.next_step
    if problem.status == 503:  # noqa: PLR2004 - the one status that says when to come back
        headers["retry-after"] = str(math.ceil(getattr(error, "retry_after_s", RETRY_AFTER_S)))
    return document(problem, detail, path, headers=headers, **more)


def _stack(error: BaseException) -> str:
    """Word where it came from, without the values of variables: they may be secrets."""
    return "".join(traceback.format_exception(error))[-STACK_CHARS:]


def document(
    problem: Problem, detail: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """Write a problem document."""
    content = {
        "type": f"/problems#{problem.name}",
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "instance": path,
        **more,
    }
    return Response(orjson.dumps(content), problem.status, headers, media_type="application/problem+json")


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router refuses; an unknown path is answered with the nearest known one."""
    if not isinstance(error, HTTPException):
        raise error
    path = request.url.path
    problem = _BY_STATUS.get(error.status_code, Problem(error.status_code, "refused", error.detail, ""))
    detail = f"{request.method} {shorten(path)}: {error.detail}"
    if error.status_code == 404:  # noqa: PLR2004 - an unknown path
        near = difflib.get_close_matches(path, [*request.app.openapi()["paths"], "/docs"], n=1)
        detail = f"There is no {shorten(path)}. " + (f"Did you mean {near[0]}?" if near else "See /docs.")
    return document(problem, detail, path, headers=dict(error.headers or {}))


async def on_invalid(request: Request, error: Exception) -> Response:
    """Answer parameters that do not fit: 400, one entry a field."""
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [_fault(item) for item in error.errors()]
    detail = "; ".join(f"{fault['field']}: got {fault['got']}, expected {fault['expected']}" for fault in faults)
    return document(PROBLEMS[errors.QueryError], detail, request.url.path, errors=faults)


def _fault(item: dict[str, Any]) -> dict[str, str]:
    field = ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0])
    expected = item["msg"].split(", unable to")[0]
    for opening in ("Value error, ", "Input should be ", "String should have ", "String should "):
        expected = expected.removeprefix(opening)
    return {
        "field": field,
        "got": "nothing" if item["type"] == "missing" else shorten(str(item["input"])) or "an empty text",
        "expected": expected,
    }


def shorten(text: str) -> str:
    """Cut what came from outside before it is repeated."""
    return text if len(text) <= GOT_CHARS else f"{text[:GOT_CHARS]}…"


def problems_page() -> str:
    """List every problem as the page that ``type`` points to."""
    known = {problem.name: problem for problem in [*PROBLEMS.values(), *_BY_STATUS.values()]}
    return "".join(
        f'<section id="{html.escape(p.name)}"><h2>{p.status} {html.escape(p.name)}</h2>'
        f"<p><b>{html.escape(p.title)}.</b> {html.escape(p.next_step)}</p></section>"
        for p in sorted(known.values(), key=lambda p: (p.status, p.name))
    )
