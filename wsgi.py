"""Create the application for web servers and the `flask` command."""

import sys

from portal import gc_freeze

with gc_freeze():
    import jobs.cli
    from portal.app import create_app
    from portal.config.settings import SettingsError

    try:
        app = create_app()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)

    jobs.cli.register(app)
