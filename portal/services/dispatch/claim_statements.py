"""The statements of a claim.

As text, for one of them counts, picks, leases and reads: asked one after the other, these take the
database longer to hear of than to do.
"""

from functools import cache
from typing import Any, Final

from sqlalchemy import (
    LargeBinary,
    Select,
    TextClause,
    Uuid,
    bindparam,
    column,
    literal_column,
    select,
    text,
)
from sqlalchemy.sql.selectable import TextualSelect

from portal.database.engine import UtcDateTime
from portal.models.deliveries import IS_OPEN
from portal.models.webhooks import Webhook
from portal.services.core.rowset import given_ids
from portal.services.dispatch.claim_types import Leased, Locked
from portal.services.outbox.due import head_of

# What each webhook may have of each priority: no more than its share of the pump's places, and no
# more than its leases leave.
_SLOTS: Final = """slots AS (
  SELECT given.*, {max}(0, {min}(places, cap - (SELECT count(*) FROM leases
    WHERE leases.webhook_id = given.webhook AND leases.until > :now
    AND (leases.kind = 'test') = (given.priority = 0)))) AS free
  FROM {given})"""
_GIVEN: Final = {
    "postgresql": "json_to_recordset(CAST(:slots AS json)) AS given(place int, webhook int,"
    " priority int, is_head int, places int, cap int, url text)",
    "sqlite": "(SELECT json_extract(value, '$.place') AS place,"
    " json_extract(value, '$.webhook') AS webhook, json_extract(value, '$.priority') AS priority,"
    " json_extract(value, '$.is_head') AS is_head, json_extract(value, '$.places') AS places,"
    " json_extract(value, '$.cap') AS cap, json_extract(value, '$.url') AS url"
    " FROM json_each(:slots)) AS given",
}
_IS_FREE: Final = (
    "due_at <= :now AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.delivery_id = deliveries.id)"
)
_LONGEST_DUE: Final = (
    f"FROM deliveries WHERE webhook_id = slots.webhook AND {IS_OPEN}"
    f" AND priority = slots.priority AND {_IS_FREE} ORDER BY due_at, id"
)
_HEAD: Final = (
    "FROM deliveries WHERE id = ("
    f"{head_of(literal_column('slots.webhook')).compile(compile_kwargs={'literal_binds': True})})"
    f" AND {_IS_FREE}"
)
# PostgreSQL gives each slot its own number of rows, and takes them out of the part that locks them:
# as they are once they are locked. SQLite, which cannot, gives all slots the largest number.
_PICK: Final = {
    "postgresql": """SELECT slots.place, webhook, slots.priority AS slot, url, free, due.*
  FROM slots CROSS JOIN LATERAL
  (SELECT {columns} {rows} LIMIT slots.free FOR UPDATE SKIP LOCKED) AS due
  WHERE is_head = {is_head}""",
    "sqlite": """SELECT slots.place, webhook, slots.priority AS slot, url, free, due.*
  FROM slots JOIN (SELECT {columns} FROM deliveries) AS due
  ON due.id IN (SELECT id {rows} LIMIT :most) WHERE is_head = {is_head}""",
}
_COLUMNS: Final = (
    "id, public_id, event_id, event, tries, attempts, priority, due_at, prior_status, requested_by"
)
# Of each webhook as many as are free: tests in their own place, then by priority.
_CHOSEN: Final = """picked AS ({picks}),
ranked AS (SELECT picked.*, attempts + 1 AS number, row_number()
  OVER (PARTITION BY webhook, slot = 0 ORDER BY place, due_at, id) AS nth FROM picked),
chosen AS (SELECT ranked.*, CASE WHEN priority = 0 THEN 'test' WHEN prior_status IS NOT NULL
  THEN 'manual' ELSE 'scheduled' END AS kind
  FROM ranked WHERE nth <= free ORDER BY place, nth LIMIT :room)"""
_LEASE: Final = """INSERT INTO leases
  (delivery_id, webhook_id, token, until, number, kind, actor, url, started_at)"""
_LEASED: Final = """SELECT id, webhook, :token, :until, number, kind, requested_by, url, :started
  FROM chosen"""
# A body that many deliveries share comes with the first of them alone.
_READ: Final = """SELECT chosen.id, {public_id} AS public_id, webhook, event_id, chosen.event,
  tries, kind, requested_by AS actor, number, occurred_at,
  CASE WHEN row_number() OVER (PARTITION BY event_id ORDER BY chosen.id) = 1 THEN body END AS body
  FROM {chosen} JOIN events ON events.id = event_id"""
_JUST_LEASED: Final = """(SELECT deliveries.id, public_id, deliveries.webhook_id AS webhook,
  event_id, event, tries, kind, requested_by, number
  FROM leases JOIN deliveries ON deliveries.id = delivery_id
  WHERE delivery_id IN (SELECT value FROM json_each(:ids))) AS chosen"""
# As it goes over the wire; a UUID for each delivery takes longer to make than to send.
_AS_TEXT: Final = {
    "postgresql": "CAST(chosen.public_id AS text)",
    "sqlite": "substr(chosen.public_id, 1, 8) || '-' || substr(chosen.public_id, 9, 4) || '-'"
    " || substr(chosen.public_id, 13, 4) || '-' || substr(chosen.public_id, 17, 4) || '-'"
    " || substr(chosen.public_id, 21)",
}


@cache
def locked_webhooks(dialect: str) -> Select[*tuple[Any, ...]]:
    """`FOR NO KEY UPDATE`: events that are being stored meanwhile refer to the row and need not
    wait."""
    return (
        select(*(getattr(Webhook, name) for name in Locked._fields))
        .where(Webhook.id.in_(given_ids(dialect)))
        .order_by(Webhook.id)
        .with_for_update(key_share=True, skip_locked=True)
    )


@cache
def lease_and_read(*, with_heads: bool) -> TextualSelect:
    """PostgreSQL: lease what is due and has a free place, and return the `Leased`."""
    words = f"WITH {_chosen('postgresql', with_heads=with_heads)}, leased AS ({_LEASE} {_LEASED}) "
    return _typed(words + _READ.format(public_id=_AS_TEXT["postgresql"], chosen="chosen"))


@cache
def lease(*, with_heads: bool) -> TextClause:
    """SQLite, where no INSERT stands inside another statement: the same, and their ids."""
    chosen = _chosen("sqlite", with_heads=with_heads)
    return _bound(f"{_LEASE} WITH {chosen} {_LEASED} RETURNING delivery_id")


@cache
def read_leased() -> TextualSelect:
    """SQLite: the `Leased` of these deliveries (`ids`)."""
    return _typed(_READ.format(public_id=_AS_TEXT["sqlite"], chosen=_JUST_LEASED))


def _chosen(dialect: str, *, with_heads: bool) -> str:
    least, most = ("min", "max") if dialect == "sqlite" else ("least", "greatest")
    slots = _SLOTS.format(given=_GIVEN[dialect], min=least, max=most)
    kinds = [(_LONGEST_DUE, 0), (_HEAD, 1)] if with_heads else [(_LONGEST_DUE, 0)]
    pick = _PICK[dialect]
    picks = [pick.format(columns=_COLUMNS, rows=rows, is_head=which) for rows, which in kinds]
    return f"{slots}, {_CHOSEN.format(picks=' UNION ALL '.join(picks))}"


def _bound(words: str) -> TextClause:
    statement = text(words)
    times = [name for name in ("now", "until", "started") if f":{name}" in words]
    typed = [bindparam(name, type_=UtcDateTime()) for name in times]
    tokens = [bindparam("token", type_=Uuid())] if ":token" in words else []
    return statement.bindparams(*typed, *tokens)


def _typed(words: str) -> TextualSelect:
    types: dict[str, Any] = {"occurred_at": UtcDateTime(), "body": LargeBinary()}
    columns = (column(name, types.get(name)) for name in Leased._fields)
    return _bound(words).columns(*columns)
