"""Where servers and the `flask` command find the application."""

import gc
import sys

import jobs.cli
from portal.app import create_app
from portal.config.settings import SettingsError

try:
    app = create_app()
except SettingsError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(2)

jobs.cli.register(app)
# It lasts as long as the process, whose last collection would take a quarter of a second for it.
gc.freeze()
