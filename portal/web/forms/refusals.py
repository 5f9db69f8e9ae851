"""How a view shows what a service refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask import flash
from wtforms import Form

from portal.services.core.refusals import NotAllowed, NotFound, Refusal, Stale
from portal.web.forms.base import PortalForm
from portal.web.frame.form_rendering import problems

HAS_A_PAGE: Final = (NotFound, NotAllowed, Stale)


@contextmanager
def refusals_in(form: PortalForm) -> Iterator[None]:
    """Put a refusal into the form, so that the page comes back with what was typed.

    What has a page of its own passes through: not found, not allowed, stale.
    """
    try:
        yield
    except HAS_A_PAGE:
        raise
    except Refusal as refusal:
        form.refuse(refusal)


@contextmanager
def refusals_flashed(kind: str = "info") -> Iterator[None]:
    """Tell a refusal above the page that comes next; the same passes through."""
    try:
        yield
    except HAS_A_PAGE:
        raise
    except Refusal as refusal:
        flash(refusal.sentence, kind)


def status_of(form: Form) -> int:
    """400 for a form that comes back with something to change, else 200."""
    return 400 if problems(form) else 200
