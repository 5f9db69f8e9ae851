"""Tags and serial numbers belong to one undeleted asset each."""

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.models.assets import Asset
from portal.services.core.refusals import Refusal


def refuse_taken(current: Session, tag: str | None, serial: str | None, own_id: int | None) -> None:
    """Refuse a tag or serial number that another asset has, and name that asset."""
    holder = _holder(current, Asset.asset_tag, tag, own_id)
    if holder:
        sentence = f"“{holder.name}” already has the tag {holder.asset_tag}"
        raise Refusal(sentence, field="asset_tag")
    holder = holder_of_serial(current, serial, own_id)
    if holder:
        sentence = f"{holder.asset_tag} already has this serial number"
        raise Refusal(sentence, field="serial_number")


def holder_of_serial(
    current: Session, serial: str | None, own_id: int | None = None
) -> Asset | None:
    """The asset that has this serial number, other than the one with `own_id`."""
    return _holder(current, Asset.serial_number, serial, own_id)


def _holder(
    current: Session,
    column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
    value: str | None,
    own_id: int | None,
) -> Asset | None:
    if not value:
        return None
    # lower() on both sides is the database's: Python's knows more letters than SQLite's.
    wanted = select(Asset).where(func.lower(column) == func.lower(value), column.is_not(None))
    others = wanted.where(Asset.deleted_at.is_(None), Asset.id != (own_id or 0))
    with current.no_autoflush:
        return current.scalars(others).first()
