"""Where things can be: `/locations`."""

from portal.services.named_lists import LOCATIONS
from portal.web.named_lists import pages_of

blueprint = pages_of(LOCATIONS)
