"""The kinds of long work that there are: a table for the job and for the task's page."""

from collections.abc import Mapping
from typing import Final

from portal.services import alert_runs, batches, bulk, importing
from portal.services.tasks import Kind

_ALL: Final[tuple[Kind, ...]] = (
    importing.CHECK,
    importing.IMPORT,
    bulk.BULK,
    batches.KIND,
    alert_runs.KIND,
)

KINDS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in _ALL}
