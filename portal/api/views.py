"""Authenticate programs, limit their rate, check permissions, and run an operation."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from flask import Response, request, url_for

from portal.api import load
from portal.api.load import Rate
from portal.api.operations import ANY_TOKEN, LARGEST_ID, Answer, Call, Made, Operation
from portal.api.reading import ETAG, JSON, KEY, InvalidRequest, body_of, query_of
from portal.engine.events.body import encode, wire_value
from portal.extensions import settings
from portal.services.core.unit_of_work import once_only
from portal.services.people import tokens
from portal.services.people.sign_in_throttle import network_of
from portal.services.people.tokens import Program
from portal.web.frame.access import PUBLIC, requires
from portal.web.frame.problems import FieldError, problem

BEARER: Final = "bearer"
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="Asset register API"'}
BUSY: Final = "Too many requests at the same time. Try again in a second."
TOO_MANY: Final = "Too many requests with this token. Wait {} s, then try again."
TOO_MANY_WRONG: Final = "Too many requests with a wrong token. Wait {} s, then try again."
CREATED, NO_CONTENT = 201, 204
NOT_ALLOWED: Final = "This token doesn’t allow this. Ask an administrator."

_calls: Final = Rate()
_wrong: Final = Rate()


def view_of(operation: Operation) -> Callable[..., Response]:
    """Return the view of an operation. The token decides access, and never a cookie."""

    @requires(PUBLIC)
    def view(**path: Any) -> Response:
        # Not by a limit in the route’s converter. Then the path’s other methods would answer 405.
        if any(isinstance(each, int) and each > LARGEST_ID for each in path.values()):
            return problem(404)
        if not load.places.acquire(blocking=False):
            return problem(429, BUSY, headers={"Retry-After": "1"})
        try:
            return _answer(operation, path)
        except InvalidRequest as invalid:
            return problem(422, str(invalid), invalid.errors)
        finally:
            load.places.release()

    return view


def _answer(operation: Operation, path: dict[str, Any]) -> Response:
    program = _program()
    if isinstance(program, Response):
        return program
    if operation.permission != ANY_TOKEN and not program.may(operation.permission):
        return problem(403, NOT_ALLOWED)
    query, body = query_of(operation.query), body_of(operation.body)
    call = Call(program, query, body, _version_asked())
    if operation.shows is None:
        return _encoded(operation.run(call, **path), operation.status)
    return _shown(operation, operation.shows, call, path)


def _shown(operation: Operation, shows: Operation, call: Call, path: dict[str, Any]) -> Response:
    """Run an operation, once per idempotency key, and answer with its result."""
    once: dict[str, Any] = {}
    ran = []

    def run() -> str:
        made: Made = operation.run(call, **path)
        ran.append(True)
        once.update(made.once)
        return json.dumps(made.path, default=str)

    key = _key()
    owner = f"token:{call.actor.token_id}"
    kept = once_only(owner, key, run, str, _fingerprint()) if key else run()
    made = _path_values(shows, json.loads(kept))
    shown = shows.run(Call(call.program), **made)
    answer = _encoded(replace(shown, value=_with(shown.value, once)), operation.status)
    if operation.status == CREATED:
        answer.headers["Location"] = url_for(f"api.{shows.name}", **made)
    if not ran:
        answer.headers["Idempotency-Replayed"] = "true"
    return answer


def _path_values(shows: Operation, kept: dict[str, Any]) -> dict[str, Any]:
    return {
        name: UUID(value) if f"<uuid:{name}>" in shows.path else value
        for name, value in kept.items()
    }


def _with(value: Any, once: dict[str, Any]) -> Any:
    return {**wire_value(value), **once} if once else value


def _encoded(answer: Answer, status: int) -> Response:
    body = b"" if status == NO_CONTENT else encode(answer.value)
    response = Response(body, status, content_type=JSON)
    if answer.version is not None:
        response.set_etag(str(answer.version))
    return response


def _version_asked() -> int | None:
    """Return the version in If-Match, if any. Raises `InvalidRequest`."""
    asked = request.headers.get("If-Match")
    if asked in (None, "*"):
        return None
    found = re.fullmatch(ETAG, asked or "")
    if found is None:
        raise InvalidRequest([FieldError("If-Match", 'Send an ETag as you got it, such as "3"')])
    return int(found[0].strip('"'))


def _key() -> UUID | None:
    """Return a UUID for the idempotency key, as the table stores it. Raises `InvalidRequest`."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not re.fullmatch(KEY, key):
        raise InvalidRequest(
            [FieldError("Idempotency-Key", "Use 1 to 255 visible ASCII characters")]
        )
    return UUID(bytes=sha256(key.encode()).digest()[:16])


def _fingerprint() -> str:
    sent = b"\0".join([request.method.encode(), request.full_path.encode(), request.get_data()])
    return sha256(sent).hexdigest()


def _program() -> Program | Response:
    """Return the calling program, or the response that refuses it."""
    authorization = request.authorization
    is_bearer = authorization is not None and authorization.type == BEARER
    token = (authorization.token or "") if authorization is not None and is_bearer else ""
    network, most = network_of(request.remote_addr), settings().api_requests_per_minute
    # A program with a wrong token must not lock out others on its network.
    is_known = _calls.knows(token)
    if not is_known and (wait := _wrong.seconds_to_wait(network, load.wrong_a_minute(most))):
        return _too_many(TOO_MANY_WRONG, wait)
    if wait := _calls.seconds_to_wait(token, most):
        return _too_many(TOO_MANY, wait)
    program = tokens.program_of(token)
    if program is None:
        _wrong.count(network)
        return problem(401, headers=CHALLENGE)
    _calls.count(token)
    return program


def _too_many(sentence: str, seconds: int) -> Response:
    return problem(429, sentence.format(seconds), headers={"Retry-After": str(seconds)})
