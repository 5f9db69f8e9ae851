"""Show error pages in one layout, with plain words and the right status code.

Programs get the same sentence and code as a problem (`problems.py`).
"""

import logging

from flask import Flask, Response, current_app, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DBAPIError, OperationalError
from werkzeug.exceptions import BadHost, HTTPException, MethodNotAllowed

from portal.database.trouble import of_error, words_of
from portal.extensions import db, settings
from portal.lib import request_id
from portal.lib.paging import UnreadableCursor
from portal.services.core.refusals import Refusal, Stale
from portal.web.frame.problems import FieldError, is_for_program, problem

log = logging.getLogger(__name__)

OPEN_TOO_LONG = "This page has expired. Go back, reload it, and submit again."
# Browsers don't return secure cookies to an http:// URL, and some keep none at all.
NO_COOKIE = (
    "Your browser sent no cookie, so we couldn’t verify this form. Reload the page. If that "
    "doesn’t help, open the portal at {address} and allow cookies."
)
FROM_ELSEWHERE = (
    "This form wasn’t submitted from this portal. Go back, reload the page, and submit again. If "
    "that doesn’t help, ask your administrator to have the reverse proxy forward the Host header "
    "with its port."
)
CUT_OFF = "This link is incomplete."
BAD_HOST = "The Host header isn’t a host name."
BAD_CURSOR = "“after” can’t be read. Send “next” of an answer as it is, or start without it."
# SQLite's code for a statement that it doesn't understand (https://sqlite.org/rescode.html).
OUR_MISTAKE = 1
AWAY_SECONDS = 5  # until a program retries
PAGES = {400, 403, 404, 405, 409, 413, 429, 500, 503}


def init_app(app: Flask) -> None:
    """Register the handlers. A refusal that no form shows becomes a page with its sentence."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(Refusal, _refusal)
    app.register_error_handler(UnreadableCursor, _cursor)
    app.register_error_handler(DBAPIError, _database)


Answer = tuple[str, int] | Response


def _page(code: int, sentence: str = "") -> Answer:
    # The session can be in a broken transaction. The page's own reads begin a new one.
    db.session.rollback()
    if is_for_program(request):
        return problem(code, sentence, headers=_wait(code))
    name = code if code in PAGES else (500 if code >= 500 else 400)
    words = {"message": sentence} if sentence else {}
    if code >= 500:
        # The same part can fail again. These pages read nothing from the database, and skip context
        # processors, because Flask-Login's reads the person.
        words["reference"] = request_id.current()
        return current_app.jinja_env.get_template(f"errors/{name}.html").render(**words), code
    return render_template(f"errors/{name}.html", **words), code


def _wait(code: int) -> dict[str, str]:
    return {"Retry-After": str(AWAY_SECONDS)} if code == 503 else {}


def _http(error: HTTPException) -> Response | HTTPException:
    code = error.code or 500
    if code < 400:
        return error
    if isinstance(error, BadHost):
        # No page can be shown, because no URL can be built.
        plain = Response(f"{BAD_HOST}\n", code, content_type="text/plain; charset=utf-8")
        return problem(code, BAD_HOST) if is_for_program(request) else plain
    if code >= 500:
        log.error("A request failed: %s", error, exc_info=error)
    answer = current_app.make_response(_page(code))
    answer.headers.update(_allow(error))
    return answer


def _allow(error: HTTPException) -> dict[str, str]:
    """Return the header that a 405 requires (RFC 9110, 15.5.6)."""
    methods = error.valid_methods if isinstance(error, MethodNotAllowed) else None
    return {"Allow": ", ".join(sorted(methods))} if methods else {}


def _csrf(error: CSRFError) -> Answer:
    # Flask-WTF has no other sign of a form that was sent from another site over https.
    is_foreign = "referrer" in str(error.description)
    if is_foreign:
        return _page(400, FROM_ELSEWHERE)
    has_cookie = current_app.config["SESSION_COOKIE_NAME"] in request.cookies
    return _page(
        400, OPEN_TOO_LONG if has_cookie else NO_COOKIE.format(address=settings().base_url)
    )


def _refusal(error: Refusal) -> Answer:
    if not is_for_program(request):
        return _page(error.status, error.sentence)
    db.session.rollback()
    if isinstance(error, Stale):
        return problem(412)
    faults = [FieldError(fault.field, fault.sentence) for fault in error.faults]
    return problem(422 if faults else error.status, error.sentence, faults)


def _cursor(_error: UnreadableCursor) -> Answer:
    return problem(400, BAD_CURSOR) if is_for_program(request) else _page(400, CUT_OFF)


def _database(error: DBAPIError) -> Answer:
    """Return the page of an outage. The transaction was rolled back, so nothing is half-written."""
    # A database that refuses all changes raises an error of another class.
    is_away = isinstance(error, OperationalError) or of_error(error.orig) is not None
    if is_away and getattr(error.orig, "sqlite_errorcode", None) != OUR_MISTAKE:
        # In an outage, each request would otherwise log a long traceback.
        log.error("The database rejected a request: %s", words_of(error.orig))
    else:
        log.error("The database rejected a request", exc_info=error)
    if is_away:
        return _page(503)
    return _page(500)
