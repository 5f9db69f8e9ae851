"""The queues, and the jobs by their dotted names."""

from typing import Final

DELIVERIES: Final = "deliveries"
BACKGROUND: Final = "background"
QUEUES: Final = (DELIVERIES, BACKGROUND)

# Jobs by their dotted names: portal never imports jobs, and a test proves that each name imports.
DELIVER_DUE: Final = "jobs.deliver.deliver_due"
MAINTAIN: Final = "jobs.periodic.maintain"
RUN_TASKS: Final = "jobs.tasks.run_tasks"
SEND_MAILS: Final = "jobs.mails.send_mails"
EXPIRE_RESERVATIONS: Final = "jobs.periodic.expire_reservations"
PRUNE: Final = "jobs.periodic.prune"
NOTICES: Final = "jobs.periodic.send_notices"
TURN_ON: Final = "jobs.periodic.turn_on_webhooks"
ALERTS: Final = "jobs.periodic.look_for_alerts"
BACKUP: Final = "jobs.periodic.back_up"
JOB_NAMES: Final = (
    DELIVER_DUE,
    MAINTAIN,
    RUN_TASKS,
    SEND_MAILS,
    EXPIRE_RESERVATIONS,
    PRUNE,
    NOTICES,
    TURN_ON,
    ALERTS,
    BACKUP,
)
# Maintenance is one RQ job that rq-scheduler queues again and again under this id.
MAINTENANCE_ID: Final = "maintenance"

# Written to see whether that can be done; beside the notifier's own keys, which every user of ours
# may set.
PROBE: Final = "deliveries:probe"
