"""What a beat of the web reads for those who ask whether the portal is ready."""

from alembic.migration import MigrationContext
from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from portal.database.engine import brief_engine, database_now
from portal.extensions import settings
from portal.models.operations import SendingSwitch
from portal.queue.redis_state import RedisState, read_state
from portal.queue.schedule import ensure_schedule
from portal.services.core.heartbeats import lives_on
from portal.services.operations.database.beat import examine
from portal.services.operations.database.pulse import Pulse, Ready, Surroundings, pulse
from portal.services.operations.health import newest_revision


def read_ready() -> Ready:
    """How things stand: from memory, or by a look of now where this process has no beats (`flask
    run`, a command). Never raises."""
    return pulse.read() if pulse.is_beating else _look_once()


def look_around(engine: Engine) -> Surroundings:
    """Read tables, signs of life and Redis, whose schedule is repaired with it."""
    redis = read_state(settings().redis_url)
    if isinstance(redis, RedisState):
        ensure_schedule()
    why_not = None if isinstance(redis, RedisState) else redis.reason
    try:
        with engine.connect() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
            if revision != newest_revision():
                return Surroundings(False, redis=why_not)
            lives = lives_on(connection, database_now(connection))
            stopped_at = connection.execute(select(SendingSwitch.stopped_at)).scalar()
    except SQLAlchemyError:
        return Surroundings(redis=why_not)
    return Surroundings(True, lives, why_not, stopped_at)


def _look_once() -> Ready:
    current = Pulse()
    engine = brief_engine(settings().database_url, settings().database_options)
    try:
        found = examine(engine)
        current.begin()
        for _ in range(2 if found else 1):  # it will not be asked again
            current.beat(found)
        current.look = look_around(engine)
        return current.read()
    finally:
        engine.dispose()
