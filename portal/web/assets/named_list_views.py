"""Serve the pages of categories and locations, with one set of views for both."""

from typing import ClassVar
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response
from wtforms import StringField

from portal.services.assets import named_lists
from portal.services.assets.named_lists import CATEGORIES, LOCATIONS, NamedList
from portal.services.core.refusals import Stale
from portal.services.core.unit_of_work import once_only
from portal.web.assets.merge_views import merge_page
from portal.web.forms.base import PortalForm, refusals_in, say_whether_changed, status_of
from portal.web.forms.versions import VersionField, goes_on_editing, stale_page
from portal.web.frame.access import actor, owner, requires


class NameForm(PortalForm):
    """The name of a category or location. `version`: its version when the form was shown."""

    lengths: ClassVar[dict[str, int]] = {"name": named_lists.LONGEST_NAME}

    version = VersionField()
    name = StringField("Name")


Answer = Response | str | tuple[str, int]


def pages_of(kind: NamedList) -> Blueprint:
    """Return the blueprint of one list: index, new, edit, merge, delete."""
    blueprint = Blueprint(kind.many, __name__, url_prefix=f"/{kind.many}")
    home = f"{kind.many}.index"

    @blueprint.get("")
    @requires("assets.read")
    def index() -> Answer:
        """Show the list, sorted by name."""
        page = named_lists.page(kind, request.args.get("cursor"))
        return render_template("assets/named_lists/index.html", kind=kind, page=page)

    @blueprint.route("/new", methods=["GET", "POST"])
    @requires("assets.edit")
    def new() -> Answer:
        form = NameForm()
        if form.validate_on_submit():
            name = form.name.data or ""
            with refusals_in(form):
                path = once_only(
                    owner(),
                    form.once_value,
                    lambda: named_lists.create(kind, actor(), name),
                    lambda _: url_for(home),
                )
                flash(f"Added {kind.one} “{name}”.", "success")
                return redirect(path)
        page = render_template("assets/named_lists/form.html", kind=kind, form=form, row=None)
        return page, status_of(form)

    @blueprint.route("/<uuid:public_id>/edit", methods=["GET", "POST"])
    @requires("assets.edit")
    def edit(public_id: UUID) -> Answer:
        row = named_lists.find(kind, public_id)
        form = NameForm(obj=row)
        if not goes_on_editing() and form.validate_on_submit():
            try:
                with refusals_in(form):
                    return _rename(kind, public_id, form)
            except Stale:
                return _stale(kind, public_id, form)
        page = render_template("assets/named_lists/form.html", kind=kind, form=form, row=row)
        return page, status_of(form)

    @blueprint.route("/<uuid:public_id>/merge", methods=["GET", "POST"])
    @requires("assets.edit")
    def merge(public_id: UUID) -> Answer:
        """Ask for the target to merge it into, and start the merge."""
        return _merge(kind, public_id)

    @blueprint.route("/<uuid:public_id>/delete", methods=["GET", "POST"])
    @requires("assets.edit")
    def delete(public_id: UUID) -> Answer:
        """Confirm, then delete an unused name. If assets use it, ask for another name for them."""
        row = named_lists.find(kind, public_id)
        form, name = NameForm(obj=row), row.name
        used, naming = named_lists.count_used(kind, row.id), named_lists.naming(kind, row.id)
        asks_where = used and not naming and len(named_lists.choices(kind)) > 1
        if form.is_submitted() and not (asks_where and "into" in request.form):
            with refusals_in(form):
                named_lists.delete(kind, actor(), public_id)
                flash(f"Deleted {kind.one} “{name}”.", "success")
                return redirect(url_for(home))
        if asks_where:
            return _merge(kind, public_id, deletes=form)
        page = render_template(
            "assets/named_lists/delete.html",
            kind=kind,
            form=form,
            name=name,
            row=row,
            obstacle=named_lists.obstacle_of(
                kind, row.name, used, [webhook for _, webhook in naming]
            ),
            used=used,
            naming=naming,
        )
        return page, 409 if status_of(form) == 400 else 200

    return blueprint


def _merge(
    kind: NamedList, public_id: UUID, deletes: PortalForm | None = None
) -> Response | tuple[str, int]:
    here = url_for(f"{kind.many}.{'delete' if deletes else 'merge'}", public_id=public_id)
    home = url_for(f"{kind.many}.index")
    return merge_page(kind.one, str(public_id), home=home, here=here, deletes=deletes)


def _rename(kind: NamedList, public_id: UUID, form: NameForm) -> Response:
    name = form.name.data or ""
    changed = named_lists.rename(kind, actor(), public_id, form.version.seen, name)
    say_whether_changed(changed)
    return redirect(url_for(f"{kind.many}.index"))


def _stale(kind: NamedList, public_id: UUID, form: NameForm) -> tuple[str, int]:
    row = named_lists.find(kind, public_id)
    return stale_page(
        form,
        NameForm(formdata=None, obj=row),
        target=(kind.one, public_id, row.name),
        version=row.version,
        keep_url=url_for(f"{kind.many}.index"),
    )


categories = pages_of(CATEGORIES)

locations = pages_of(LOCATIONS)
