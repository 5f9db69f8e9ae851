"""Count notifications."""

from portal.queue.notifier import notifier


def notifications() -> int:
    """Return the number of messages that the current application's Redis has published."""
    commands = notifier().ask(lambda redis: redis.info("commandstats")) or {}
    calls: int = commands.get("cmdstat_publish", {}).get("calls", 0)
    return calls
