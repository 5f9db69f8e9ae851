"""Let programs in: their token, how much they ask, what they may, and what they send."""

from collections.abc import Callable
from typing import Any, Final

from flask import Response, request

from portal.api import load
from portal.api.load import Rate
from portal.api.operations import ANY_TOKEN, Answer, Call, Operation
from portal.api.reading import JSON, Unfit, body_of, query_of
from portal.engine.events.body import encode
from portal.services.core.permissions import TOKEN_IS_OVER
from portal.services.people import tokens
from portal.services.people.sign_in_throttle import network_of
from portal.services.people.tokens import Program
from portal.web.frame.access import PUBLIC, requires
from portal.web.frame.problems import problem

BEARER: Final = "bearer"
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="Asset register API"'}
BUSY: Final = "Too many requests at the same time. Try again in a second."
TOO_MANY: Final = f"A token has {load.A_MINUTE} requests a minute. Wait {{}} s, then try again."
TOO_MANY_WRONG: Final = "Too many requests with a wrong token. Wait {} s, then try again."
NOT_ALLOWED: Final = "This token doesn’t allow this. Ask an administrator."

_calls: Final = Rate(load.A_MINUTE)
_wrong: Final = Rate(load.WRONG_A_MINUTE)


def view_of(operation: Operation) -> Callable[..., Response]:
    """Return the view of an operation. Its permission is the token's and not a cookie's."""

    @requires(PUBLIC)
    def view(**path: Any) -> Response:
        if not load.places.acquire(blocking=False):
            return problem(429, BUSY, headers={"Retry-After": "1"})
        try:
            return _answer(operation, path)
        except Unfit as unfit:
            return problem(422, str(unfit), unfit.errors)
        finally:
            load.places.release()

    return view


def _answer(operation: Operation, path: dict[str, Any]) -> Response:
    program = _program()
    if isinstance(program, Response):
        return program
    if operation.permission != ANY_TOKEN and not program.may(operation.permission):
        return problem(403, NOT_ALLOWED)
    call = Call(program, query_of(operation.query), body_of(operation.body))
    answer: Answer = operation.run(call, **path)
    return Response(encode(answer.value), operation.status, dict(answer.headers), content_type=JSON)


def _program() -> Program | Response:
    """Return who is calling, or what is answered instead."""
    authorization = request.authorization
    is_bearer = authorization is not None and authorization.type == BEARER
    token = (authorization.token or "") if authorization is not None and is_bearer else ""
    network = network_of(request.remote_addr)
    # One program with a wrong token doesn't shut out the others of its network.
    if not _calls.knows(token) and (wait := _wrong.seconds_to_wait(network)):
        return _too_many(TOO_MANY_WRONG, wait)
    if wait := _calls.seconds_to_wait(token):
        return _too_many(TOO_MANY, wait)
    program = tokens.program_of(token)
    if program is None:
        _wrong.count(network)
        return problem(401, TOKEN_IS_OVER, headers=CHALLENGE)
    _calls.count(token)
    return program


def _too_many(sentence: str, seconds: int) -> Response:
    return problem(429, sentence.format(seconds), headers={"Retry-After": str(seconds)})
