"""Serve diagnostics and a signature check for helping the receiver's developer."""

from uuid import UUID

from flask import Blueprint, Response, render_template, url_for
from wtforms import Field, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, ValidationError

from portal.engine.signing.signatures import STANDARD_PREFIX
from portal.services.core.permissions import CONTENT
from portal.services.deliveries.detail import find_delivery
from portal.services.deliveries.signature_checks import check_signature
from portal.services.people.sign_in_throttle import Throttled
from portal.web.deliveries import presenter as delivery_presenter
from portal.web.deliveries.help_bundle import bundle_of
from portal.web.deliveries.list_place import carried
from portal.web.deliveries.presenter import DeliveryPage
from portal.web.forms.base import PortalForm, refusals_in, status_of, typed
from portal.web.frame.access import actor, requires

LONGEST_SIGNATURE = 2000
LONGEST_BODY = 200_000

blueprint = Blueprint("delivery_help", __name__, url_prefix="/deliveries")


def _no_key(form: PortalForm, field: Field) -> None:
    """Refuse a secret key pasted by mistake, and leave it out of the returned page."""
    if STANDARD_PREFIX in typed(field):
        field.data = ""
        raise ValidationError("Paste the signature. This is a secret key. Don’t share it")


class SignatureForm(PortalForm):
    """A signature that the receiver computed or received, and optionally the body it verified."""

    signature = StringField(
        "Receiver’s signature",
        description="The computed signature or the header’s value",
        validators=[
            InputRequired("Paste the signature"),
            _no_key,
            Length(max=LONGEST_SIGNATURE, message="Paste only the signature"),
        ],
    )
    body = TextAreaField(
        "Body the receiver verified",
        description="Exact bytes, as received. Shows whether the body or the secret key differs",
        validators=[
            Length(max=LONGEST_BODY, message="Paste a shorter body. We never send one this long")
        ],
    )


@blueprint.get("/<uuid:public_id>/help-bundle")
@requires(CONTENT)
def bundle(public_id: UUID) -> Response:
    """Download a text file for the receiver's developer, without secrets."""
    return as_file(delivery_presenter.page_of(find_delivery(public_id)))


def as_file(page: DeliveryPage) -> Response:
    """Return the diagnostics as a download."""
    answer = Response(bundle_of(page), content_type="text/plain; charset=utf-8")
    name = f"diagnostics-{page.delivery.public_id}.txt"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@blueprint.route("/<uuid:public_id>/signature", methods=["GET", "POST"])
@requires(CONTENT)
def signature(public_id: UUID) -> tuple[str, int]:
    """Report the differing part of a pasted signature. Stores nothing and shows no secret."""
    back = url_for("deliveries.show", public_id=public_id, **carried())
    return signature_page(delivery_presenter.page_of(find_delivery(public_id)), back)


def signature_page(page: DeliveryPage, back: str) -> tuple[str, int]:
    """Return the form with its result, and the status code. `back` is the delivery's URL."""
    form, result, status = SignatureForm(), None, None
    if form.validate_on_submit():
        with refusals_in(form):
            try:
                result = check_signature(
                    actor(), page.delivery, typed(form.signature), typed(form.body)
                )
            except Throttled as refusal:
                status = refusal.status
                raise
    html = render_template(
        "deliveries/signature.html", form=form, page=page, found=result, back_url=back
    )
    return html, status or status_of(form)
