"""The expected access of each role, compared with the declarations of the portal's views.

Add each new view or permission here, too.
"""

from typing import Final

ROLES: Final = ("admin", "manager", "support", "viewer")

# One line per permission, with the roles that have it.
MATRIX: Final = """
home.read                admin manager support viewer
account.edit             admin manager support viewer
assets.read              admin manager support viewer
assets.edit              admin manager
assets.undo_liquidation  admin
webhooks.read            admin manager support viewer
webhooks.edit            admin
webhooks.switch          admin
webhooks.secret          admin
webhooks.test            admin         support
deliveries.read          admin manager support viewer
deliveries.content       admin manager support
deliveries.retry         admin         support
deliveries.dismiss       admin         support
tasks.read               admin manager support viewer
alerts.read              admin manager support viewer
alerts.acknowledge       admin manager
alerts.settings          admin
api.manage               admin
people.manage            admin
people.erase             admin
audit.read               admin
system.read              admin
organization.edit        admin
backups.make             admin
backups.download         admin
sending.switch           admin
sample_data.load         admin
"""

# A permission, then the endpoints that require it. `public` endpoints require none.
VIEWS: Final = """
public
    auth.sign_in joining.setup joining.set_up joining.invitation joining.accept
    new_passwords.choose new_passwords.save
    new_passwords.forgotten new_passwords.ask new_passwords.asked
    operations.healthz operations.readyz operations.metrics inbox.receive
    security_txt.show
    unsubscribe.ask unsubscribe.end
    static themes.choose
home.read
    home.index help.index help.show api_reference find.index missing.show
account.edit
    account.index account.save account.change_password auth.sign_out
    account.end_session account.end_other_sessions confirmations.ask confirmations.confirm
assets.read
    assets.index assets.show exporting.export stock.moves
    asset_parts.timeline asset_parts.reservations asset_parts.maintenance
    categories.index locations.index spellings.index staff.index staff.show
    planning.reservations planning.maintenance planning.export_maintenance
assets.edit
    assets.new assets.edit assets.delete
    actions.allocate actions.revoke actions.reassign actions.check_out actions.check_in
    actions.change_due_date actions.transfer actions.report_lost actions.find
    actions.report_broken actions.repair actions.send_to_warranty actions.receive_back
    actions.liquidate actions.restore
    actions.reserve actions.approve_reservation actions.reject_reservation
    actions.cancel_reservation
    actions.schedule_maintenance actions.start_maintenance actions.complete_maintenance
    actions.cancel_maintenance
    actions.receive_stock actions.issue_stock actions.adjust_stock
    bulk.confirm bulk.show
    importing.upload importing.check importing.failed importing.example import_match.match
    import_match.correct
    categories.new categories.edit categories.merge categories.delete
    locations.new locations.edit locations.merge locations.delete spellings.merge
    staff.new staff.edit staff.leave staff.come_back
assets.undo_liquidation
    actions.undo_liquidation
webhooks.read
    webhooks.index webhooks.show webhooks.events webhooks.history webhooks.receiver
webhooks.edit
    webhook_forms.where webhook_forms.new webhook_forms.edit webhook_forms.delete inbox.start
    webhook_drafts.test webhook_drafts.show webhook_drafts.live webhook_drafts.again
    webhook_drafts.bundle webhook_drafts.signature
webhooks.switch
    webhook_switches.on webhook_switches.off webhook_held.choose
webhooks.secret
    webhook_secrets.show webhook_secrets.copied webhook_secrets.switch webhook_secrets.erase
    webhook_drafts.secret
webhooks.test
    webhook_switches.test inbox.test
deliveries.read
    deliveries.index deliveries.show deliveries.live deliveries.row
    deliveries.export deliveries.export_for_excel dismissals.moved
    asset_parts.deliveries
    batches.index batches.show batches.live batches.report
    webhook_emails.choose own_webhook_emails.stop_all
deliveries.content
    deliveries.body delivery_help.bundle delivery_help.signature inbox.index inbox.live
deliveries.retry
    deliveries.take_out batches.stop
    deliveries.ask_retry deliveries.retry batches.confirm batches.ask_go_on batches.go_on
    webhook_switches.resume webhook_takes.take webhook_takes.release
    webhook_takes.hand_over webhook_notes.write
deliveries.dismiss
    dismissals.dismiss dismissals.ask_restore dismissals.restore
tasks.read
    tasks.show tasks.live tasks.stop
alerts.read
    alerts.index
alerts.acknowledge
    alerts.acknowledge
alerts.settings
    alert_settings.index alert_settings.live alert_settings.preview alert_settings.run
    alert_settings.first alert_settings.mark
api.manage
    tokens.index tokens.new tokens.show tokens.move_end tokens.revoke
people.manage
    people.index people.show people.role people.enable people.disable
    invitations.new invitations.invite invitations.show invitations.copied invitations.renew
    invitations.cancel invitations.send
    new_passwords.offer new_passwords.show new_passwords.copied new_passwords.send
people.erase
    erasure.user erasure.staff erasure.continue_user erasure.continue_staff
audit.read
    audit.index audit.export
system.read
    system.index emails.test emails.live emails.index backups.index
organization.edit
    organization.index
backups.make
    backups.make
backups.download
    backups.download
sending.switch
    system.stop_sending system.start_sending
sample_data.load
    home.load_sample_data
"""

# Views about people, keys, tokens, secrets, and backups ask for the password again, unless it was
# confirmed a short time ago. `always`: on each request. `posted`: before a change.
# `enters_secrets`: before a change that replaces a key or a header's value, or sends them to
# another URL. `sends_elsewhere`: before a test that sends them to another URL.
AGAIN: Final = """
always
    people.role people.enable people.disable erasure.user erasure.staff
    invitations.new invitations.invite invitations.show invitations.renew invitations.cancel
    new_passwords.offer new_passwords.show new_passwords.send invitations.send
    webhook_secrets.show webhook_secrets.switch webhook_drafts.secret
    tokens.new tokens.move_end
    confirmations.confirm backups.download
posted
    webhook_forms.new webhook_secrets.erase tokens.revoke
enters_secrets
    webhook_forms.edit
sends_elsewhere
    webhook_drafts.test
"""


def roles_by_permission() -> dict[str, set[str]]:
    """Return `MATRIX` as a dict."""
    lines = [line.split() for line in MATRIX.strip().splitlines()]
    return {permission: set(roles) for permission, *roles in lines}


def permissions_by_view() -> dict[str, str]:
    """Return `VIEWS` as a dict."""
    return _by_view(VIEWS)


def conditions_by_view() -> dict[str, str]:
    """Return `AGAIN` as a dict."""
    return _by_view(AGAIN)


def _by_view(table: str) -> dict[str, str]:
    headings, heading = {}, ""
    for line in table.strip().splitlines():
        if line.startswith(" "):
            headings |= dict.fromkeys(line.split(), heading)
        else:
            heading = line
    return headings
