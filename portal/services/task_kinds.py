"""List all kinds of tasks, for the job and the task's page."""

from collections.abc import Mapping
from typing import Final

from portal.services import merging
from portal.services.actions import bulk
from portal.services.alerts import runs as alert_runs
from portal.services.csv import import_task
from portal.services.deliveries import bulk_retry, dismissals
from portal.services.demo import load
from portal.services.erasure import erase
from portal.services.operations import backups
from portal.services.tasks import Kind

_ALL: Final[tuple[Kind, ...]] = (
    import_task.CHECK,
    import_task.IMPORT,
    bulk.BULK,
    merging.KIND,
    bulk_retry.KIND,
    dismissals.DISMISS,
    dismissals.RESTORE,
    alert_runs.KIND,
    erase.KIND,
    load.KIND,
    backups.KIND,
)

KINDS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in _ALL}
