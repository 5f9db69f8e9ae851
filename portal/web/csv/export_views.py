"""The register as a file."""

from flask import Blueprint, Response, request, stream_with_context

from portal.lib.clock import utcnow
from portal.lib.csv_cells import write_csv
from portal.services.csv import export as csv_export
from portal.web.assets.forms import AssetFilterForm
from portal.web.assets.views import list_page
from portal.web.frame.access import requires

blueprint = Blueprint("exporting", __name__, url_prefix="/assets")


@blueprint.get("/export.csv")
@requires("assets.read")
def export() -> Response | tuple[str, int]:
    """What the list shows with the same filters, as CSV; it is sent while it is being read."""
    form = AssetFilterForm(request.args)
    if not form.validate():
        return list_page(form)
    rows = csv_export.rows(form.chosen())
    response = Response(stream_with_context(write_csv(rows)), mimetype="text/csv")
    name = f"assets-{utcnow():%Y-%m-%d}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
