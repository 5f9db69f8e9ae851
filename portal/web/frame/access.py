"""Check who may open a page: every view declares its permission; one that declares none is closed.

What is about people, keys, tokens and secrets declares, too, that the password is asked again.
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

# A view that needs no sign-in says so with this in the place of a permission.
PUBLIC: Final = "public"
# Where a view keeps what it declared.
MARK: Final = "permission"
AGAIN: Final = "asks_again"
PUBLIC_ENDPOINTS: Final = frozenset({"static"})

V = TypeVar("V", bound=Callable[..., Any])
Condition = Callable[[], bool]


class SignedIn(UserMixin):  # type: ignore[misc]  # flask-login publishes no types
    """The signed-in person as of this request: a plain copy, so that no row is held open."""

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
        """Return whether they proved a short time ago who they are."""
        return sessions.is_confirmed(self.confirmed_at)

    def get_id(self) -> str:
        """Return what the cookie keeps: the session's id, which is worth as much as its row."""
        return str(self.session_id)


def always() -> bool:
    """Return the condition of a view that asks for the password whatever is sent."""
    return True


def posted() -> bool:
    """Return the condition of a view that asks for the password before it changes something."""
    return request.method == "POST"


def requires(permission: str, *, again: Condition | None = None) -> Callable[[V], V]:
    """Declare the permission that a view needs (one of `core/permissions.py`, or PUBLIC).

    `again`: when the password is asked for again, unless that was a short time ago.
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
    """Return the permission that an endpoint declared, None where it declared none."""
    if endpoint in PUBLIC_ENDPOINTS:
        return PUBLIC
    view = current_app.view_functions[endpoint]
    return getattr(view, MARK, None)


def condition_of(endpoint: str) -> Condition | None:
    """Return when an endpoint asks for the password again; None where it never does."""
    return getattr(current_app.view_functions.get(endpoint), AGAIN, None)


def can(permission: str) -> bool:
    """Return whether the signed-in person has this permission."""
    return bool(current_user.is_authenticated) and allows(current_user.role, permission)


def actor() -> Actor:
    """Return the signed-in person as the actor of a service's verb."""
    return Actor(ActorKind.USER, current_user.user_id, current_user.name, Origin.UI)


def owner() -> str:
    """Return whose forms are being sent: the owner of `once` tokens."""
    return f"user:{current_user.user_id}"


def local_path(target: str | None) -> str:
    """Return `target` if it is a path on this portal, else the start page: no open redirects, and
    nothing that a header cannot carry."""
    path = (target or "").partition("#")[0].partition("?")[0]
    is_here = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return target if target and is_here and target.isprintable() else "/"


def _check() -> Response | None:
    if request.endpoint is None:
        return None  # 404 and 405 speak for themselves
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
    known = sessions.find(this)
    return SignedIn(known[0], this, known[1].confirmed_at) if known else None


# So much may the clocks of two machines differ, as for what is sealed (Fernet allows as much).
TOLERATED: Final = timedelta(seconds=60)


class Signer(TimestampSigner):
    """Takes what a machine whose clock is a little ahead has dated."""

    def unsign(
        self,
        signed_value: str | bytes,
        max_age: int | None = None,
        return_timestamp: bool = False,
    ) -> Any:
        """Return what was signed, with its date where that is asked for. Raises `BadSignature`."""
        try:
            return super().unsign(signed_value, max_age, return_timestamp)  # type: ignore[call-overload]
        except SignatureExpired as expired:
            at = expired.date_signed
            if at is None or not timedelta() < at - datetime.now(UTC) <= TOLERATED:
                raise
            return super().unsign(signed_value, None, return_timestamp)  # type: ignore[call-overload]


class SessionCookies(SecureCookieSessionInterface):
    """Flask's own, signed by `Signer`. Programs have none: what they send is neither read nor
    answered."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return what the request's cookie holds; an empty session for a program."""
        if is_for_program(request):
            return self.session_class()
        return super().open_session(app, request)

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return what signs and reads the cookie."""
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
    """Sign the person in. Whatever the browser's session held before is gone, so it cannot be
    prepared by others (session fixation), and whoever was signed in with it is out."""
    if current_user.is_authenticated:
        sessions.end(actor(), current_user.session_id)
    session.clear()
    session.permanent = True  # until `SESSION_IDLE_MINUTES` from the last request
    login_user(SignedIn(admission.user, admission.session_id, utcnow()))
    remember_device(admission.user)


def end() -> None:
    """Sign out: the cookie is emptied, and copies of it are refused."""
    sessions.end(actor(), current_user.session_id)
    logout_user()
    session.clear()


def known_devices() -> str:
    """Return the device cookie that this request brought; anybody may have written it."""
    return request.cookies.get(_device_cookie(), "")


def remember_device(user: User) -> None:
    """Give this browser a device cookie for the user, with the answer to this request."""
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
    # With this beginning a browser takes it from nobody else: no other host, nor http://.
    return "__Host-device" if _is_https() else "device"


def _is_https() -> bool:
    return bool(current_app.config["SESSION_COOKIE_SECURE"])
