"""Help about the register, its alerts, and running the portal."""

from typing import Final

from portal.web.help.texts import HelpEntry, Topic

ASSETS: Final = ("Assets", "/assets")

REGISTER: Final = Topic(
    "register",
    "The register",
    "What can be done with an asset, and what each step is called.",
    (
        HelpEntry(
            "lend",
            "Lend and take back",
            (
                "A loan has an end: the person, the time by which the asset is due back, and if "
                "you like what it is for. After that time it is overdue until it is taken back.",
                "Only what is available can be lent. An asset that is lent is free again once it "
                "is taken back; its condition can be noted at that moment.",
            ),
            (ASSETS, ("Staff", "/staff")),
            also="check out checkout check in checkin return borrow loan due overdue",
        ),
        HelpEntry(
            "give",
            "Give permanently",
            (
                "An asset that is given permanently belongs to one person until somebody takes it "
                "back; it is never overdue.",
            ),
            (ASSETS,),
            also="allocate allocated assign revoke hand over",
        ),
        HelpEntry(
            "reserve",
            "Reserve",
            (
                "A reservation asks for an asset from one time to another. A manager or an "
                "administrator approves or rejects it. Approved, it keeps others from borrowing "
                "the asset for that time; collected, it becomes a loan. One that nobody collects "
                "expires.",
            ),
            (("Reservations", "/reservations"),),
            also="booking book request approve reject calendar",
        ),
        HelpEntry(
            "trouble",
            "Maintenance, faults and losses",
            (
                "Plan maintenance for a day, once or again and again; start it and complete it. "
                "Report an asset broken or lost, send it to warranty, or dispose of it. Each page "
                "says which steps its status allows, and why others are not possible now.",
            ),
            (("Maintenance", "/maintenance"),),
            also="repair service inspection broken lost stolen warranty dispose liquidate scrap",
        ),
        HelpEntry(
            "stock",
            "Stock",
            (
                "Consumables have a quantity instead of a holder. Issue some, receive more, or "
                "correct the number; each move is kept. When the quantity falls below the "
                "threshold, there is an alert at once.",
            ),
            (ASSETS, ("Alerts", "/help/alerts")),
            also="consumable quantity minimum threshold low issue receive",
        ),
        HelpEntry(
            "numbers",
            "Tags that are numbers",
            (
                "An asset that is saved without a tag gets the next number, such as AST-00042. "
                "Each is given once. A number is left out when a save was refused or cut off.",
            ),
            (ASSETS,),
            also="automatic asset tag sequence gap missing skipped",
        ),
        HelpEntry(
            "import",
            "Import a file",
            (
                "Choose a file of Excel, OpenDocument or CSV with one asset a line. Where its "
                "headings or words are not the register's, you say what each becomes, and the "
                "next file with the same headings is read in the same way. The check shows what "
                "each line would do, and what is wrong with it, before anything is changed. The "
                "work then continues on its own; its page says how far it is and lists the lines "
                "that were refused.",
            ),
            (ASSETS,),
            also="csv excel xlsx ods opendocument spreadsheet upload bulk export headings columns",
        ),
    ),
)

ALERTS: Final = Topic(
    "alerts",
    "Alerts",
    "Events that a date makes due: nobody pressed anything.",
    (
        HelpEntry(
            "kinds",
            "What there is an alert for",
            (
                "A warranty that ends within {warranty_days}. Maintenance that is due within "
                "{maintenance_days}, or late. A loan that is overdue. Stock below its threshold. "
                "Each can be switched off, and the days changed, under Settings, Alerts.",
            ),
            (("Alerts", "/alerts"), ("Settings of the alerts", "/settings/alerts")),
            also="threshold warranty maintenance overdue low stock reminder days",
        ),
        HelpEntry(
            "when",
            "When alerts are checked, and who gets them",
            (
                "Once a day, at {alerts_at}, in the organisation's time zone; low stock at once. "
                "A day that was missed is caught up with. Each alert is sent once; that of an "
                "overdue loan again every few days, if the settings say so.",
                "Every webhook that asked for the event gets it. Whether it arrived is in the log.",
            ),
            (("All events", "/settings/webhooks/events"),),
            also="daily run time notify notification email reminder scheduled",
        ),
        HelpEntry(
            "acknowledge",
            "Acknowledge an alert",
            (
                "Acknowledge puts your name beside it: the others see that somebody takes care of "
                "it. An alert that no longer applies ends automatically, for example when the "
                "asset is back.",
            ),
            (("Alerts", "/alerts"),),
            also="close done over open confirm",
        ),
    ),
)

RUNNING: Final = Topic(
    "running",
    "Running it",
    "Who may do what, who did what, and whether all parts work.",
    (
        HelpEntry(
            "roles",
            "Users and roles",
            (
                "Everybody who signs in may read assets, deliveries, webhooks and alerts. Support "
                "may also test webhooks, retry or stop deliveries, and dismiss problems. Managers "
                "change assets, acknowledge alerts and decide about reservations. Administrators "
                "may do all of it, and manage webhooks, people and settings.",
                "Users are invited by a link that works once. Whoever is disabled is signed out "
                "at once.",
            ),
            (("Users", "/settings/people"), ("Your account", "/account")),
            also="user users role permission rights admin administrator support manager invite "
            "password account access denied",
        ),
        HelpEntry(
            "keys",
            "Replace a secret key, or one that leaked",
            (
                "An administrator opens the webhook, presses Edit, and under Proof has a new "
                "secret key made or enters one. For {overlap} deliveries are signed with both "
                "keys. Enter the new one at the receiver, then press Switch now on the webhook's "
                "page: from then on the new key signs alone.",
                "Has somebody else seen the key? Then do both at once: until the receiver takes "
                "the new key alone, whoever has the old one can send what looks like ours.",
            ),
            (("Webhooks", "/settings/webhooks"), ("Check a signature", "/help/receiver#signature")),
            also="leaked leak stolen compromised secret key rotate rotation replace change new "
            "signature switch",
        ),
        HelpEntry(
            "signed-in",
            "Where you are signed in",
            (
                "Your account lists the browsers in which you are signed in, says when they are "
                "signed out automatically, and signs out one of them or all others. A new "
                "password signs you out everywhere else.",
                "Before anything about users, keys, secrets and webhook addresses, the portal asks "
                "for your password again when you last entered it more than 15 minutes ago. What "
                "you typed is kept meanwhile.",
            ),
            (("Your account", "/account"),),
            also="session sign out signed out logout log off browser device cookie stolen confirm "
            "password again",
        ),
        HelpEntry(
            "audit",
            "Who changed what",
            (
                "The audit trail has a line for each change of webhooks, deliveries, people and "
                "settings: when, who, what, from which value to which. No line can be changed or "
                "removed, and none holds a secret. What happened to an asset stands in its "
                "timeline.",
            ),
            (("Audit", "/settings/audit"),),
            also="audit trail history log timeline",
        ),
        HelpEntry(
            "system",
            "Is everything running?",
            (
                "The start page says to everybody whether our side is working: sending, pages and "
                "the database. Deliveries that wait are kept while a part is down, and go out once "
                "it is back.",
                "System, which administrators may open, shows the processes, the database, the "
                "space that is left, and what waits; each finding says what to do. The command "
                "flask doctor says the same.",
            ),
            (("Is our side working?", "/#our-side"), ("System", "/settings/system")),
            also="system status up running worker workers scheduler process health down stopped "
            "doctor redis database",
        ),
        HelpEntry(
            "stop",
            "Stop all sending",
            (
                "An administrator can stop sending to all webhooks at once: under System, or by "
                "the command flask sending off. What is being sent at that moment ends. Events are "
                "still stored; their deliveries wait, and go out once sending is started again "
                "there, or by flask sending on.",
                "Meanwhile Test and Retry are not possible, and no e-mails about webhooks are "
                "sent. The start page and the list of deliveries say since when it is stopped, "
                "and by whom.",
            ),
            (("System", "/settings/system"),),
            also="pause halt emergency switch off kill all webhooks everything start",
        ),
        HelpEntry(
            "zones",
            "Time zones",
            (
                "Times are shown in your own time zone, which you choose in your account; its name "
                "stands at the foot of each page. Days and times of alerts are the organisation's.",
            ),
            (("Your account", "/account"),),
            also="timezone clock utc hours",
        ),
        HelpEntry(
            "trial",
            "This is a local trial",
            (
                "A portal that is started for a trial says so on every page. Its webhooks may "
                "reach this computer itself, which is handy for trying things out and not safe "
                "for real work.",
            ),
            also="localhost loopback demo test",
        ),
    ),
)

REGISTER_TOPICS: Final = (REGISTER, ALERTS, RUNNING)
