"""A small application whose pages show every template macro, for tests of the page frame."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask, abort, flash, jsonify, redirect, render_template, request
from flask_login import LoginManager, UserMixin
from flask_wtf.csrf import CSRFProtect
from jinja2 import ChoiceLoader, FileSystemLoader

from portal.config.settings import ROOT
from portal.database.engine import sqlite_module
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.lib.paging import Page
from portal.web.frame import errors, layout
from portal.web.frame.status_tags import DELIVERY
from portal.web.people import account_views
from tests.web.component_gallery.form import GROUPS, GalleryForm


class Viewer(UserMixin):  # type: ignore[misc]  # flask-login publishes no types
    """The signed-in user, unless the URL contains `anonymous`."""

    id = "1"
    name = "Ana Berger"
    email = "ana.berger@example.com"
    time_zone = "Europe/Vienna"


def make_gallery(*, local_trial: bool = True, opens: bool = True) -> Flask:
    """Create the application, with URLs of the portal, so that the navigation matches them."""
    app = Flask("gallery", root_path=str(ROOT))
    app.config.update(
        SECRET_KEY="only for these tests",
        SQLALCHEMY_DATABASE_URI="sqlite://",
        SQLALCHEMY_ENGINE_OPTIONS={"module": sqlite_module},
    )
    app.extensions["settings"] = SimpleNamespace(
        organization="Asset register",
        timezone=ZoneInfo("Europe/Vienna"),
        local_trial=local_trial,
        smtp_url="",
        opens_this_machine=opens,
        base_url="http://gallery",
    )
    own = FileSystemLoader(Path(__file__).parent / "templates")
    app.jinja_loader = ChoiceLoader([own, FileSystemLoader(ROOT / "templates")])
    db.init_app(app)
    CSRFProtect(app)
    LoginManager(app).request_loader(lambda r: None if "anonymous" in r.args else Viewer())
    app.jinja_env.globals["can"] = lambda permission: permission != request.args.get("without")
    layout.init_app(app)
    errors.init_app(app)
    app.register_blueprint(account_views.theme_blueprint)
    _add_pages(app)
    return app


def _add_pages(app: Flask) -> None:
    both = ["GET", "POST"]
    app.add_url_rule("/settings/webhooks/new", view_func=form_page, methods=both)
    app.add_url_rule("/settings/webhooks/1/delete", view_func=confirm_page)
    app.add_url_rule("/deliveries", view_func=list_page)
    app.add_url_rule("/deliveries/1", view_func=show_page)
    app.add_url_rule("/deliveries/1/live", view_func=live)
    app.add_url_rule("/deliveries/1/retry", view_func=retry, methods=["POST"])
    app.add_url_rule("/broken/<int:code>", view_func=broken)


def form_page() -> Any:
    """Show every kind of field, with row buttons that work as on the real pages."""
    form = GalleryForm()
    if "add_headers" in request.form:
        form.headers.append_entry()
    elif form.validate_on_submit():
        flash("Webhook saved. It is on from now.", "success")
        return redirect("/deliveries")
    return render_template("form.html", form=form, groups=GROUPS)


def confirm_page() -> str:
    """Ask before an irreversible action."""
    return render_template(
        "_partials/confirm.html",
        title="Delete “Sync to ERP”?",
        text="4 deliveries that wait for it are stopped. Its name stays in the log.",
        action="/settings/webhooks/1/delete",
        submit_label="Delete webhook",
        cancel_url="/settings/webhooks/1",
        once="0190-abc",
    )


def list_page() -> str:
    """Show tabs, filters, chips, notices, a table of every status, a pager, and an empty state."""
    now = utcnow()
    rows = [
        {"number": n, "at": now - timedelta(minutes=7 * n**3), "status": status}
        for n, status in enumerate(DELIVERY)
    ]
    return render_template("list.html", rows=rows, page=Page(rows, newer="a", older="b"))


def show_page() -> str:
    """Show facts, cards, a timeline, code, details, and a live part."""
    return render_template("show.html", before=utcnow() - timedelta(days=3), now=utcnow())


def live() -> Any:
    """Return the final state to the live part, on its first request."""
    return jsonify(html="<p>Delivered, after all</p>", stop=True, announce="Delivered")


def retry() -> Any:
    """Handle the form of one button."""
    flash("Retry queued.", "success")
    return redirect("/deliveries/1")


def broken(code: int) -> Any:
    """Show the error page for a status code."""
    abort(code)
