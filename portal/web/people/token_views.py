"""Serve Settings → API: the tokens of programs."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from portal.extensions import settings
from portal.models.people import Role
from portal.services.core.unit_of_work import once_only
from portal.services.operations import revocation
from portal.services.people import tokens
from portal.services.people.accounts import ROLE_NAMES
from portal.services.webhooks import queries
from portal.web.forms.base import refusals_in, status_of, typed
from portal.web.frame.access import actor, always, owner, posted, requires
from portal.web.frame.status_tags import TOKEN
from portal.web.people.forms import ROLE_HINTS, MoveEndForm, RevokeForm, TokenForm

blueprint = Blueprint("tokens", __name__, url_prefix="/settings/api")

Answer = str | Response | tuple[str, int]


@blueprint.get("")
@requires(tokens.PERMISSION)
def index() -> str:
    return render_template(
        "people/tokens.html",
        tokens=[(token, TOKEN[tokens.state_of(token)]) for token in tokens.listing()],
        role_names=ROLE_NAMES,
    )


@blueprint.route("/new", methods=["GET", "POST"])
@requires(tokens.PERMISSION, again=always)
def new() -> Answer:
    """Create a token, and show it only in the response to the form."""
    form = TokenForm()
    if form.validate_on_submit():
        made: list[str] = []
        with refusals_in(form):
            path = once_only(owner(), form.once_value, lambda: _create(form, made), _path)
            if not made:
                flash("This token was already created. We can’t show it again.", "info")
                return redirect(path)
            name = typed(form.name)
            return render_template(
                "people/token_made.html",
                name=name,
                token=made[0],
                path=path,
                root=f"{settings().base_url}/api/v1",
            )
    return render_template("people/token_new.html", form=form, hints=ROLE_HINTS), status_of(form)


@blueprint.get("/<uuid:public_id>")
@requires(tokens.PERMISSION)
def show(public_id: UUID) -> Answer:
    return _page(public_id, MoveEndForm())


@blueprint.post("/<uuid:public_id>/end")
@requires(tokens.PERMISSION, again=always)
def move_end(public_id: UUID) -> Answer:
    """Change the time at which the token ends."""
    form = MoveEndForm()
    if form.validate():
        with refusals_in(form):
            tokens.move_end(actor(), public_id, form.days)
            flash("End changed.", "success")
            return redirect(_path(public_id))
    return _page(public_id, form), status_of(form)


@blueprint.route("/<uuid:public_id>/revoke", methods=["GET", "POST"])
@requires(tokens.PERMISSION, again=posted)
def revoke(public_id: UUID) -> Answer:
    """Confirm, then revoke the token, and turn off its webhooks if that is selected."""
    form = RevokeForm()
    if form.validate_on_submit():
        name = revocation.revoke(actor(), public_id, turns_off=bool(form.turn_off.data))
        flash(f"The token of {name} no longer works.", "success")
        return redirect(url_for("tokens.index"))
    token = tokens.find(public_id)
    webhooks = [name for _, name in queries.of_token(token.id)]
    return render_template("people/token_revoke.html", token=token, form=form, webhooks=webhooks)


def _page(public_id: UUID, form: MoveEndForm) -> str:
    token = tokens.find(public_id)
    return render_template(
        "people/token.html",
        token=token,
        tag=TOKEN[tokens.state_of(token)],
        form=form,
        webhooks=queries.of_token(token.id),
        role_name=ROLE_NAMES[Role(token.role)],
    )


def _create(form: TokenForm, made: list[str]) -> UUID:
    role, read_only = Role(form.role.data), bool(form.read_only.data)
    public_id, token = tokens.create(
        actor(), typed(form.name), role, read_only=read_only, days=form.days
    )
    made.append(token)
    return public_id


def _path(public_id: UUID) -> str:
    return url_for("tokens.show", public_id=public_id)
