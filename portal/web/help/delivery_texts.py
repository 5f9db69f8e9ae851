"""Help about deliveries: Retry, what is held, and what the receiver's developer has to know."""

from typing import Final

from portal.web.help.texts import HelpEntry, Topic

STATUSES: Final = ("Every status and reason", "/help/delivery-status")

RETRY: Final = Topic(
    "retry",
    "Retry, one or many",
    "One more attempt because a person asks for it, and what comes of it.",
    (
        HelpEntry(
            "one",
            "What Retry does",
            (
                "It sends the delivery once more, at once, with the same body and the same id. It "
                "is an attempt beside the planned ones: they stay as many as they were.",
                "If it arrives, the delivery is Delivered. If it fails again, the delivery has the "
                "status and the next planned attempt that it had before.",
                "Support and administrators may press it, on a delivery that will be retried, "
                "failed or was stopped. Pressed twice, it sends once.",
            ),
            (STATUSES,),
            also="again resend repeat redeliver button",
        ),
        HelpEntry(
            "outcome",
            "What came of it",
            (
                "It stands where you pressed it, on the delivery's page or in the line of the "
                "log: “Attempted again at 18:40:11: refused the connection” or “Arrived at "
                "18:40:11”. The page updates automatically; without scripts, reload it.",
                "If nothing came after 15 seconds, it says what holds it up: no worker is running, "
                "the webhook is being sent as many as it gets at once, or others go first.",
            ),
            (("System", "/settings/system"),),
            also="result queued waiting worker slow nothing happens",
        ),
        HelpEntry(
            "no",
            "Why Retry is off",
            (
                "A delivery that is waiting or being sent needs no Retry. One that is held goes "
                "out when its webhook is turned on. Where the webhook was deleted, nothing can be "
                "sent. A test is not retried: press Test webhook again.",
            ),
            also="disabled greyed grey cannot press",
        ),
        HelpEntry(
            "again",
            "Send again what has arrived",
            (
                "Send again is Retry for a delivery that has arrived. It asks first, because the "
                "receiver may act twice. The id stays the same: a receiver that drops repeats acts "
                "once.",
            ),
            also="duplicate twice double",
        ),
        HelpEntry(
            "problems",
            "Problems",
            (
                "Above the log and on the start page stands a line for each webhook and reason for "
                "which deliveries need attention, the worst first. Open shows exactly those, and "
                "Retry asks before it sends them once more. A problem resolves when they have "
                "arrived.",
                "Dismiss is for what nobody has to send any more: a whole problem, or the "
                "deliveries that are ticked in the log. They stay Failed, and are no longer listed "
                "as a problem. What fails later is one again. Who dismissed what is in the audit "
                "trail and in the webhook's history.",
            ),
            (("The log", "/deliveries"),),
            also="open failures dismiss hide ignore clear",
        ),
        HelpEntry(
            "many",
            "Retry many at once",
            (
                "Tick deliveries in the log, or narrow the log and choose all that match. The next "
                "page counts them by webhook and by reason, and says what is left out.",
                "They go out behind everything that is new, a few at a time. After ten failures "
                "in a row at one webhook the bulk retry is Interrupted, until somebody presses "
                "Retry the remaining. Stop ends it: what was not sent keeps its status, and can "
                "be taken up later by the same button.",
                "Bulk retries, beside the log, lists all of them: who, what and how far. What one "
                "is retrying now is left out of a second one, so that nothing is sent twice.",
                "Its page and its CSV list what did not arrive by now: one that has arrived in "
                "another way since is listed no more.",
            ),
            (("The log", "/deliveries"), ("Bulk retries", "/batches")),
            also="bulk batch mass all interrupted paused report csv remaining",
        ),
    ),
)

HELD: Final = Topic(
    "held",
    "Held deliveries and their end",
    "What happens to deliveries while a webhook is off, and afterwards.",
    (
        HelpEntry(
            "why",
            "Why a delivery is held",
            (
                "Its webhook is off. What was waiting when it was turned off is held, and so is "
                "every event that happens meanwhile. Nothing is lost, and nothing is sent. Tests "
                "still work.",
            ),
            (STATUSES, ("Held deliveries in the log", "/deliveries?status=held")),
            also="off disabled hold kept",
        ),
        HelpEntry(
            "on",
            "When the webhook is turned on",
            (
                "An administrator decides in the same step: send what was held, discard it, or "
                "choose one by one. With the last, the webhook stays off until the choice is "
                "made, so that newer deliveries do not overtake it. What is discarded is Stopped, "
                "with the administrator's name.",
            ),
            also="turn on send discard choose resume",
        ),
        HelpEntry(
            "end",
            "How long it is kept",
            (
                "{days}, counted from the day on which the webhook was turned off, or from the "
                "delivery's own if that came later. Then it is stopped, and its page says so.",
            ),
            also="retention expire delete lost gone",
        ),
    ),
)

RECEIVER: Final = Topic(
    "receiver",
    "For the receiver's developer",
    "What a program that takes our deliveries has to do, and how to find out what is wrong.",
    (
        HelpEntry(
            "signature",
            "Check a signature",
            (
                "X-Asset-Webhook-Signature is the HMAC-SHA256 of the body, exactly the bytes as "
                "they arrive, with the secret key's text as the key, as lower-case hex. Compare "
                "in constant time. While a key is being replaced, X-Asset-Webhook-Signature-Next "
                "is the same with the new key.",
                "The headers of Standard Webhooks are there as well: webhook-id, webhook-timestamp "
                "and webhook-signature.",
                "Code in several languages stands on each webhook's page under Set up the "
                "receiver.",
            ),
            (("Webhooks", "/settings/webhooks"),),
            also="hmac sha256 verify secret key whsec standard header code python php node",
        ),
        HelpEntry(
            "answers",
            "Which answer counts as what",
            (
                "A code from 200 to 299 means that you have it. Any other code, or none within "
                "{timeout}, counts as failed, and it is retried, up to {tries} times over "
                "{lasting}. We follow no redirects.",
                "410 says that the address is closed for good: we turn the webhook off. 429 and "
                "503 with Retry-After make us wait for as long as you ask, a day at most.",
                "Answer at once, and do the work afterwards.",
            ),
            (("What each code means", "/help/delivery-status#reasons"),),
            also="status code response 2xx timeout retry-after rate limit schedule backoff",
        ),
        HelpEntry(
            "repeats",
            "The same delivery twice",
            (
                "A delivery can arrive twice: when your answer is lost, or when somebody sends it "
                "again. X-Asset-Webhook-Id stays the same each time. Keep the ids you have seen, "
                "and drop what you know.",
            ),
            also="duplicate idempotent idempotency at least once id",
        ),
        HelpEntry(
            "checks",
            "Find out why a delivery fails",
            (
                "On the delivery's page, the help bundle is a text file without secrets: what we "
                "sent, what you answered, and when. Check a signature says in one sentence how a "
                "signature that you computed differs from ours. The same request stands there as a "
                "curl command.",
            ),
            (("The log", "/deliveries"),),
            also="help bundle signature doctor debug curl wrong signature",
        ),
    ),
)

DELIVERY_TOPICS: Final = (RETRY, HELD, RECEIVER)
