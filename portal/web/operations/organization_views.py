"""Serve Settings → Organization: the name, time zone, and currency of the whole register."""

from typing import Any

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response
from wtforms import SelectField, StringField
from wtforms.validators import InputRequired, Length, ValidationError

from portal.config.values import is_currency
from portal.services.alerts import settings as alert_settings
from portal.services.core.organization import MONEY, TIME_ZONE
from portal.services.core.refusals import Stale
from portal.services.operations import organization
from portal.services.operations.organization import (
    LONGEST_NAME,
    NO_CURRENCY,
    TARGET,
    OrganizationValues,
    Stored,
)
from portal.web.forms.base import (
    PortalForm,
    refusals_in,
    say_whether_changed,
    status_of,
    typed,
)
from portal.web.forms.versions import VersionField, goes_on_editing, stale_page
from portal.web.frame.access import actor, requires
from portal.web.people.forms import all_zones

blueprint = Blueprint("organization", __name__, url_prefix="/settings/organization")

Page = tuple[str, int] | Response


def _letters(_form: Any, field: Any) -> None:
    """Validate the currency here, so that its error appears along with other fields' errors."""
    if not is_currency(typed(field).upper()):
        raise ValidationError(NO_CURRENCY)


class OrganizationForm(PortalForm):
    """The organization's settings. Values set by the environment are shown but disabled."""

    version = VersionField()
    name = StringField(
        "Name",
        description="Shown at the top of each page and as the sender of emails",
        validators=[
            InputRequired("Enter the organization’s name"),
            Length(max=LONGEST_NAME, message=f"Use at most {LONGEST_NAME} characters"),
        ],
        render_kw={"autocomplete": "organization"},
    )
    time_zone = SelectField("Time zone", validate_choice=False)
    currency = StringField("Currency", validators=[_letters], render_kw={"autocomplete": "off"})

    @classmethod
    def of(cls, stored: Stored, **options: Any) -> "OrganizationForm":
        """Return the form with submitted values, or with stored ones if nothing was submitted."""
        now = stored.values
        values = {
            "name": now.name,
            "time_zone": now.time_zone,
            "currency": now.currency,
            "version": stored.version,
        }
        form = cls(data=values, **options)
        zones = all_zones()
        is_listed = any(now.time_zone in zones_of for zones_of in zones.values())
        unlisted = {} if is_listed else {"This portal": {now.time_zone: now.time_zone}}
        form.time_zone.choices = unlisted | zones
        # Browsers send no value for a disabled field.
        for name, field in ((TIME_ZONE, form.time_zone), (MONEY, form.currency)):
            if name in stored.fixed:
                field.data, field.raw_data = values[field.short_name], None
                field.render_kw = {**(field.render_kw or {}), "disabled": True}
        return form

    def values(self) -> OrganizationValues:
        """Return the entered values."""
        return OrganizationValues(
            typed(self.name), typed(self.time_zone), typed(self.currency).upper()
        )


@blueprint.route("", methods=["GET", "POST"])
@requires(organization.PERMISSION)
def index() -> Page:
    """Show and save the settings."""
    stored = organization.read()
    form = OrganizationForm.of(stored)
    if not goes_on_editing() and form.validate_on_submit():
        try:
            with refusals_in(form):
                changed = organization.save(actor(), form.version.seen, form.values())
                say_whether_changed(changed)
                return redirect(url_for("organization.index"))
        except Stale:
            return _stale(form)
    page = render_template(
        "operations/organization.html",
        form=form,
        is_zone_fixed=TIME_ZONE in stored.fixed,
        is_currency_fixed=MONEY in stored.fixed,
        alerts_at=f"{alert_settings.read().rules.at:%H:%M}",
    )
    return page, status_of(form)


def _stale(form: OrganizationForm) -> tuple[str, int]:
    stored = organization.read()
    return stale_page(
        form,
        OrganizationForm.of(stored, formdata=None),
        target=TARGET,
        version=stored.version,
        keep_url=url_for("organization.index"),
    )
