"""Build error responses for programs (RFC 9457)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any, Final

from flask import Request, Response

# Responses below this path are for programs.
API_PREFIX: Final = "/api/"
CONTENT_TYPE: Final = "application/problem+json"
# Default sentences.
SENTENCES: Final[Mapping[int, str]] = {
    400: "The body isn’t JSON. To send no fields, send {}.",
    401: "The token is missing, wrong, ended, or revoked. "
    "Send it in the header Authorization: Bearer <token>.",
    403: "The token doesn’t allow this.",
    404: "There’s nothing at this URL.",
    405: "This URL has other methods. See the Allow header.",
    409: "This isn’t possible right now.",
    410: "The cursor is too old. Start again without it.",
    412: "Someone else changed it. Read it again.",
    413: "The body has more than 1 MB.",
    415: "Send the body as application/json.",
    422: "Some fields are wrong.",
    429: "Too many requests. Wait as long as Retry-After says.",
    503: "The portal can’t use its database right now. Wait as long as Retry-After says.",
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """One error in a request. `field` is the field's name, or its path in the body."""

    field: str
    detail: str


def is_for_program(asked: Request) -> bool:
    """Return whether the request is from a program, not a browser."""
    return asked.path.startswith(API_PREFIX)


def problem(
    code: int,
    detail: str = "",
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a response with this status, a sentence, and the errors of fields."""
    body: dict[str, Any] = {"title": HTTPStatus(code).phrase, "status": code}
    if sentence := detail or SENTENCES.get(code):
        body["detail"] = sentence
    if errors:
        body["errors"] = [asdict(error) for error in errors]
    text = json.dumps(body, ensure_ascii=False)
    return Response(text, code, headers, content_type=CONTENT_TYPE)
