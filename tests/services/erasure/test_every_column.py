"""Every column that can hold text is searched by an erasure or listed here with a reason.

Add each new column to the list that fits.
"""

from sqlalchemy import JSON, LargeBinary, String
from sqlalchemy.types import TypeEngine

from portal.extensions import Base
from portal.models.audit import ErasedKind
from portal.services.assets.fields import FieldType, fields_of_type
from portal.services.erasure.places import places_of

# Renamed, emptied or removed in the first transaction.
AT_ONCE = """
    staff.name staff.email staff.employee_no staff.department staff.phone
    users.name users.email users.password_hash users.time_zone
    links.email links.kind links.token_hash links.role
    sign_in_throttles.key sessions.device sessions.way
    erasures.known_as mails.address
    alert_settings.mail_overdue alert_settings.mail_maintenance alert_settings.mail_warranty
    alert_settings.mail_low_stock
"""
# The page of an erasure names these: bodies until their retention ends, and typed texts.
TOLD = """
    events.body
    attempt_bodies.request_headers attempt_bodies.response_headers attempt_bodies.response_text
    attempt_bodies.location attempt_bodies.detail attempt_bodies.request_body
    inbox_messages.headers inbox_messages.body
    events.asset_tag events.asset_name
    categories.name locations.name assignments.location maintenances.supplier
    import_matches.matches import_matches.words
    organization.name tokens.name
    webhooks.name webhooks.url webhooks.conditions webhooks.draft_form attempts.url leases.url
"""
# Fixed words, numbers and sealed values name no one.
NOBODY = """
    activities.action activities.origin activities.status_from activities.status_to
    alert_runs.counts alert_runs.audiences alert_runs.kind alert_runs.outcome
    alert_settings.first_answer alert_settings.time_of_day
    alerts.dedupe_key alerts.event alerts.matter
    assets.status
    assignments.condition_in assignments.condition_out assignments.end_reason assignments.kind
    attempts.kind attempts.outcome attempts.peer attempts.phases attempts.reason
    audit_entries.action audit_entries.origin audit_entries.target_id audit_entries.target_kind
    batch_rows.message batch_rows.outcome
    key_checks.sealed counters.name
    deliveries.event deliveries.prior_status deliveries.reason deliveries.status
    erasures.counts erasures.kind events.event events.request_id
    inbox_messages.legacy inbox_messages.standard
    import_matches.headings import_matches.readings incidents.kind incidents.status_from leases.kind
    mails.failed_step mails.kind
    maintenances.outcome maintenances.state maintenances.status_before maintenances.type
    organization.currency organization.time_zone
    watches.told processes.host processes.kind processes.name processes.offline_hosts
    processes.trouble
    reservations.state stock_moves.kind
    submissions.fingerprint submissions.owner submissions.result_path
    tokens.role tokens.token_hash
    task_rows.outcome tasks.actor_kind tasks.counts tasks.cursor tasks.error tasks.kind
    tasks.origin tasks.state users.role
    webhook_events.event webhooks.format webhooks.headers_enc webhooks.kind webhooks.off_reason
    webhooks.old_secret_enc webhooks.secret_enc webhooks.secret_hint webhooks.state
"""


def holds_text(kind: TypeEngine[object]) -> bool:
    return isinstance(kind, String | JSON | LargeBinary)


def test_every_column_that_can_hold_text_is_listed() -> None:
    columns = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if holds_text(column.type)
    }
    walked = {
        f"{place.table}.{field.column.key}"
        for kind in ErasedKind
        for place in places_of(kind)
        for field in place.fields
    }
    # Typed texts about assets stay. The page of an erasure shows where they name the person.
    of_assets = {
        f"assets.{field.name}"
        for field in fields_of_type(FieldType.LINE, FieldType.TEXT, FieldType.CHOICE)
    }
    decided = [*walked, *of_assets, *AT_ONCE.split(), *TOLD.split(), *NOBODY.split()]
    assert len(decided) == len(set(decided))
    assert set(decided) == columns
