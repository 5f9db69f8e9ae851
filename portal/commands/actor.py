"""Who does what a command does: nobody signs in on a terminal."""

from typing import Final

from portal.engine.events.body import ActorKind, Origin
from portal.services.core.permissions import Actor

COMMAND_LINE: Final = Actor(ActorKind.SYSTEM, None, "A command on the server", Origin.API)
