"""The browser's session: begun anew at every sign-in, worth nothing after Sign out."""

from flask import session
from flask_login import current_user, login_user, logout_user

from portal.lib.clock import utcnow
from portal.services.people import sessions
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


def end() -> None:
    """Sign out: the cookie is emptied, and copies of it are refused."""
    sessions.end(actor(), current_user.session_id)
    logout_user()
    session.clear()
