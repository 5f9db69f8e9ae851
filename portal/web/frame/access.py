"""Check access to pages. Every view declares its permission, and a view without one is closed.

Views about people, keys, tokens, and secrets also declare that they ask for the password again.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from flask import (
    Flask,
    Request,
    abort,
    after_this_request,
    current_app,
    redirect,
    request,
    session,
    url_for,
)
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_login import UserMixin, current_user, login_user, logout_user
from itsdangerous import SignatureExpired, TimestampSigner, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from portal.engine.events.body import ActorKind, Origin
from portal.extensions import login
from portal.lib.clock import utcnow
from portal.models.people import User
from portal.services.core.permissions import Actor, allows
from portal.services.people import sessions
from portal.services.people.sessions import Admission
from portal.web.frame.problems import is_for_program

# Declared in place of a permission by a view that needs no sign-in.
PUBLIC: Final = "public"
# Attributes of a view with its declarations.
MARK: Final = "permission"
AGAIN: Final = "asks_again"
PUBLIC_ENDPOINTS: Final = frozenset({"static"})

V = TypeVar("V", bound=Callable[..., Any])
Condition = Callable[[], bool]


class SignedIn(UserMixin):  # type: ignore[misc]  # flask-login publishes no types
    """The signed-in person as of this request, in a plain copy that holds no row open."""

    def __init__(self, user: User, session_id: UUID, confirmed_at: datetime) -> None:
        self.session_id = session_id
        self.confirmed_at = confirmed_at
        self.user_id = user.id
        self.public_id = user.public_id
        self.name = user.name
        self.email = user.email
        self.role = user.role
        self.time_zone = user.time_zone

    @property
    def is_confirmed(self) -> bool:
        """Return whether the person confirmed their identity a short time ago."""
        return sessions.is_confirmed(self.confirmed_at)

    def get_id(self) -> str:
        """Return the session's id for the cookie. It is worthless without its row."""
        return str(self.session_id)


def always() -> bool:
    """Require the password for every request."""
    return True


def posted() -> bool:
    """Require the password only before a change."""
    return request.method == "POST"


def requires(permission: str, *, again: Condition | None = None) -> Callable[[V], V]:
    """Declare the permission that a view needs (one of `core/permissions.py`, or PUBLIC).

    `again` is the condition to ask for the password again, unless that was a short time ago.
    """

    def mark(view: V) -> V:
        setattr(view, MARK, permission)
        setattr(view, AGAIN, again)
        return view

    return mark


def init_app(app: Flask) -> None:
    """Check every request, and give templates `can(permission)`."""
    app.before_request(_check)
    app.jinja_env.globals["can"] = can
    login.user_loader(_load)


def permission_of(endpoint: str) -> str | None:
    """Return the permission that an endpoint declared, or None."""
    if endpoint in PUBLIC_ENDPOINTS:
        return PUBLIC
    view = current_app.view_functions[endpoint]
    return getattr(view, MARK, None)


def condition_of(endpoint: str) -> Condition | None:
    """Return the condition under which an endpoint asks for the password again, or None."""
    return getattr(current_app.view_functions.get(endpoint), AGAIN, None)


def can(permission: str) -> bool:
    """Return whether the signed-in person has this permission."""
    return bool(current_user.is_authenticated) and allows(current_user.role, permission)


def actor() -> Actor:
    """Return the signed-in person as the actor for services."""
    return Actor(ActorKind.USER, current_user.user_id, current_user.name, Origin.UI)


def owner() -> str:
    """Return the owner of `once` tokens in the person's forms."""
    return f"user:{current_user.user_id}"


def local_path(target: str | None) -> str:
    """Return `target` if it is a path on this portal, else the start page.

    This prevents open redirects, and characters that a header can't contain.
    """
    path = (target or "").partition("#")[0].partition("?")[0]
    is_here = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return target if target and is_here and target.isprintable() else "/"


def _check() -> Response | None:
    if request.endpoint is None:
        return None  # 404 and 405 need no permission
    permission = permission_of(request.endpoint)
    if permission == PUBLIC:
        return None
    if not current_user.is_authenticated:
        back = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("auth.sign_in", next=back))
    if permission is None or not can(permission):
        abort(403)
    return None


def _load(kept: str) -> SignedIn | None:
    try:
        this = UUID(kept)
    except ValueError:
        return None
    match = sessions.find(this)
    return SignedIn(match[0], this, match[1].confirmed_at) if match else None


# Allowed difference between two machines' clocks, the same as for sealed values (Fernet's).
TOLERATED: Final = timedelta(seconds=60)


class Signer(TimestampSigner):
    """A signer that accepts dates of a machine whose clock is a little ahead."""

    def unsign(
        self,
        signed_value: str | bytes,
        max_age: int | None = None,
        return_timestamp: bool = False,
    ) -> Any:
        """Return the signed value, with its date if requested. Raises `BadSignature`."""
        try:
            return super().unsign(signed_value, max_age, return_timestamp)  # type: ignore[call-overload]
        except SignatureExpired as expired:
            at = expired.date_signed
            if at is None or not timedelta() < at - datetime.now(UTC) <= TOLERATED:
                raise
            return super().unsign(signed_value, None, return_timestamp)  # type: ignore[call-overload]


class SessionCookies(SecureCookieSessionInterface):
    """Flask's session cookies, signed by `Signer`.

    Programs have none, so their cookies are neither read nor set.
    """

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session in the request's cookie, or an empty one for a program."""
        if is_for_program(request):
            return self.session_class()
        return super().open_session(app, request)

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return the serializer that signs and reads the cookie."""
        serializer = super().get_signing_serializer(app)
        if serializer is not None:
            serializer.signer = Signer
        return serializer


def init_sessions(app: Flask) -> None:
    """Keep sessions in cookies that end `SESSION_IDLE_MINUTES` after the last request."""
    minutes = app.extensions["settings"].session_idle_minutes
    app.permanent_session_lifetime = timedelta(minutes=minutes)
    app.session_interface = SessionCookies()


def begin(admission: Admission) -> None:
    """Sign the person in.

    Clears the browser's previous session, so that others can't prepare it (session fixation), and
    signs out the person of that session.
    """
    if current_user.is_authenticated:
        sessions.end(actor(), current_user.session_id)
    session.clear()
    session.permanent = True  # until `SESSION_IDLE_MINUTES` from the last request
    login_user(SignedIn(admission.user, admission.session_id, utcnow()))
    remember_device(admission.user)


def end() -> None:
    """Sign out, empty the cookie, and make copies of it invalid."""
    sessions.end(actor(), current_user.session_id)
    logout_user()
    session.clear()


def known_devices() -> str:
    """Return the request's device cookie, which anyone could have written."""
    return request.cookies.get(_device_cookie(), "")


def remember_device(user: User) -> None:
    """Set a device cookie for the user in the response to this request."""
    value = sessions.with_new(known_devices(), user)

    @after_this_request
    def keep(answer: Response) -> Response:
        answer.set_cookie(
            _device_cookie(),
            value,
            max_age=sessions.LASTS,
            path="/",
            secure=_is_https(),
            httponly=True,
            samesite="Lax",
        )
        return answer


def _device_cookie() -> str:
    # With this prefix, a browser accepts the cookie from no other host and not over http://.
    return "__Host-device" if _is_https() else "device"


def _is_https() -> bool:
    return bool(current_app.config["SESSION_COOKIE_SECURE"])
