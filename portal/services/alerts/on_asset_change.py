"""What each change of an asset means for its alerts, in the transaction of the change.

`transition` calls it after the change has been told, so that an alert follows what caused it.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from portal.models.assets import Asset, AssetKind
from portal.services.alerts import ledger
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import is_low
from portal.services.alerts.sources import judge_stock


def after_change(current: Session, asset: Asset, before: Mapping[str, Any]) -> None:
    """Low stock is alerted of at once; whatever has passed is over. `before`: blank for a new one.

    The latch opens again when there are enough, or there is no threshold any more.
    """
    if asset.kind == AssetKind.STOCK and asset.deleted_at is None:
        if not is_low(asset.quantity, asset.min_quantity):
            asset.low_stock_alerted_at = None
        elif asset.low_stock_alerted_at is None:
            _alert_of_low_stock(current, asset, before)
    ledger.settle(current, asset)


def _alert_of_low_stock(current: Session, asset: Asset, before: Mapping[str, Any]) -> None:
    stored = alert_settings.read_in(current)
    just_now = bool(before) and not is_low(before["quantity"], before["min_quantity"])
    # What was low before anybody decided about alerts belongs to the first question.
    if not (stored.is_answered or just_now):
        return
    moment = alert_settings.moment(asset.updated_at, stored.rules)
    found = judge_stock(current, moment, asset, asset.id)
    if found is not None:
        ledger.fire(current, asset, found, moment)
