"""Words by which people look for something that is called otherwise."""

from typing import Final

from portal.engine.reasons import Reason

REASON_WORDS: Final = {
    Reason.DNS: "dns name hostname host lookup nxdomain resolve domain typo",
    Reason.REFUSED: "econnrefused connection refused port closed stopped down",
    Reason.CONNECT_TIMEOUT: "timeout timed out connect firewall slow etimedout",
    Reason.READ_TIMEOUT: "timeout timed out read response slow no answer",
    Reason.UNREACHABLE: "unreachable network route offline internet",
    Reason.RESET: "reset econnreset connection closed early dropped aborted broken pipe",
    Reason.NO_REPLY: "empty reply no answer connection closed early",
    Reason.BAD_REPLY: "malformed protocol garbage not http answer",
    Reason.TLS_EXPIRED: "certificate tls ssl https expired",
    Reason.TLS_UNTRUSTED: "certificate tls ssl https self signed untrusted authority chain ca",
    Reason.TLS_NAME: "certificate tls ssl https hostname mismatch wrong name",
    Reason.TLS_OTHER: "certificate tls ssl https handshake secure",
    Reason.BLOCKED: "private internal address localhost intranet blocked ssrf vpn",
    Reason.BAD_HEADERS: "header custom headers",
    Reason.REDIRECT: "redirect redirected moved 301 302 307 308 location",
    Reason.BAD_REQUEST: "bad request unprocessable content validation schema body rejected",
    Reason.AUTH: "unauthorized authentication unauthorised signature secret key token password",
    Reason.FORBIDDEN: "forbidden access denied permission",
    Reason.NOT_FOUND: "not found wrong url path address",
    Reason.METHOD: "method not allowed post",
    Reason.GONE: "gone closed turned off removed deleted address",
    Reason.CONFLICT: "conflict duplicate already received twice",
    Reason.TOO_LARGE: "payload too large size big limit",
    Reason.RATE: "too many requests rate limit throttle throttled slow down retry after",
    Reason.OTHER_4XX: "client rejected",
    Reason.SERVER: "internal server error crash exception bug",
    Reason.UNAVAILABLE: "unavailable bad gateway gateway maintenance restart deploy overloaded",
    Reason.INTERRUPTED: "interrupted killed restart crash shutdown lease",
    Reason.WEBHOOK_OFF: "off held kept disabled",
    Reason.INTERNAL: "internal portal bug our side",
}
STATUS_WORDS: Final = {
    "waiting": "queued pending stuck worker",
    "sending": "running in progress",
    "delivered": "success arrived ok received sent",
    "retrying": "retry pending backoff later",
    "failed": "failure gave up error lost",
    "stopped": "cancelled canceled discarded aborted",
    "held": "off hold kept",
    "paused": "pause waiting order throttled blocked stuck",
    "webhook-active": "on enabled well",
    "webhook-failing": "broken trouble attention",
    "webhook-paused": "pause throttled left alone trouble attention",
    "webhook-off": "disabled turned off",
}
# Places of pages that are written by hand: title, text, path, further words.
PAGES: Final = (
    (
        "Why did I not get it?",
        "Five questions, in this order. Each tells you where to look, and what to do then.",
        "/help/no-message",
        "missing nothing arrived lost delivery not received checklist",
    ),
    (
        "Did it really happen?",
        "Only what stands in an asset's timeline is sent.",
        "/help/no-message#happened",
        "timeline nothing sent missing event alert",
    ),
    (
        "Does the webhook ask for this event?",
        "Under Events, a webhook's page says which ones it asked for.",
        "/help/no-message#asked",
        "subscription subscribe missing event",
    ),
    (
        "Was the webhook there, and on, at that time?",
        "Its tab History says who changed what, and when.",
        "/help/no-message#then",
        "history before off older",
    ),
    (
        "Delivered, and yet nothing to be seen there?",
        "Then the other system took it and did nothing with it. Its owner can find out why.",
        "/help/no-message#delivered",
        "arrived nothing happened other system ignored",
    ),
    (
        "What a webhook is",
        "A way to tell another system what happened, at the moment it happens.",
        "/help/webhooks",
        "webhook start begin explain introduction",
    ),
    (
        "To connect a system",
        "Its address, the events it should hear of, the secret key, and a test.",
        "/help/webhooks#connect",
        "connect add webhook set up new integration zapier make teams slack secret key",
    ),
    (
        "What we promise",
        "At least once, or you see it under Failed.",
        "/help/webhooks#promise",
        "at least once guarantee lost duplicate",
    ),
    (
        "The words we use",
        "Asset, event, alert, webhook, receiver, delivery, attempt, retry, reason, code and more.",
        "/help/webhooks#words",
        "glossary terms meaning word asset event alert receiver attempt test signature id",
    ),
    (
        "Try it without a receiver",
        "The built-in inbox shows what a receiver would get.",
        "/inbox",
        "inbox built in try demo sample test receiver",
    ),
    (
        "All events",
        "Every event there is, with an example of what is sent.",
        "/settings/webhooks/events",
        "event events catalogue sample example json body payload",
    ),
)
