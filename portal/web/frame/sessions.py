"""The browser's session: begun anew at every sign-in, worth nothing after Sign out."""

from flask import session
from flask_login import current_user, login_user, logout_user

from portal.models.people import User
from portal.services.people import sign_in
from portal.web.frame.access import SignedIn, actor


def begin(user: User) -> None:
    """Sign the user in. Whatever the session held before is gone, so it cannot be prepared by
    others (session fixation)."""
    session.clear()
    session.permanent = True  # 12 hours from the last request, see `sign_in.IDLE`
    login_user(SignedIn(user, sign_in.begin_session()))


def end() -> None:
    """Sign out: the cookie is emptied, and copies of it are refused."""
    sign_in.end_session(actor(), current_user.session_id)
    logout_user()
    session.clear()
