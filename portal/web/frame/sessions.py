"""The browser's session: begun anew at every sign-in, worth nothing after Sign out; and what the
browser is known by at the next one."""

from flask import after_this_request, current_app, request, session
from flask_login import current_user, login_user, logout_user
from werkzeug.wrappers import Response

from portal.lib.clock import utcnow
from portal.models.people import User
from portal.services.people import devices, sessions
from portal.services.people.sessions import Admission
from portal.web.frame.access import SignedIn, actor


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
