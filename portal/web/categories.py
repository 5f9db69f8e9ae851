"""What sorts of things the register knows: `/categories`."""

from portal.services.named_lists import CATEGORIES
from portal.web.named_lists import pages_of

blueprint = pages_of(CATEGORIES)
