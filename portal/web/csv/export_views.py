"""The register as a file."""

from flask import Blueprint, Response, request

from portal.lib.clock import utcnow
from portal.services.csv import export as csv_export
from portal.web.assets.forms import AssetFilterForm
from portal.web.assets.views import list_page
from portal.web.forms.csv_download import csv_download
from portal.web.frame.access import requires

blueprint = Blueprint("exporting", __name__, url_prefix="/assets")


@blueprint.get("/export.csv")
@requires("assets.read")
def export() -> Response | tuple[str, int]:
    """Send what the list shows with the same filters as CSV, while it is being read."""
    form = AssetFilterForm(request.args)
    if not form.validate():
        return list_page(form)
    wanted = form.chosen()
    return csv_download(f"assets-{utcnow():%Y-%m-%d}.csv", csv_export.rows(wanted))
