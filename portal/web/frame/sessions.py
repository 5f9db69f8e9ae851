"""The browser's session: begun anew at every sign-in, worth nothing after Sign out; and what the
browser is known by at the next one."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from flask import Flask, after_this_request, current_app, request, session
from flask.sessions import SecureCookieSessionInterface
from flask_login import current_user, login_user, logout_user
from itsdangerous import SignatureExpired, TimestampSigner, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from portal.lib.clock import utcnow
from portal.models.people import User
from portal.services.people import devices, sessions
from portal.services.people.sessions import Admission
from portal.web.frame.access import SignedIn, actor

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
    """Flask's own, signed by `Signer`."""

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
    """The device cookie that this request brought; anybody may have written it."""
    return request.cookies.get(_device_cookie(), "")


def remember_device(user: User) -> None:
    """Give this browser a device cookie for the user, with the answer to this request."""
    value = devices.with_new(known_devices(), user)

    @after_this_request
    def keep(answer: Response) -> Response:
        answer.set_cookie(
            _device_cookie(),
            value,
            max_age=devices.LASTS,
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
