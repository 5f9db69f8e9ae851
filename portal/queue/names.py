"""Names of queues, jobs, and shared Redis keys."""

from typing import Final

DELIVERIES: Final = "deliveries"
BACKGROUND: Final = "background"
QUEUES: Final = (DELIVERIES, BACKGROUND)

# Dotted names, because portal never imports jobs. A test imports each one.
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
# Maintenance is one RQ job that rq-scheduler queues repeatedly under this ID.
MAINTENANCE_ID: Final = "maintenance"

# A test write. It shares the prefix of the notifier's keys, which all our Redis users can set.
PROBE: Final = "deliveries:probe"
