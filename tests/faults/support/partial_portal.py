"""Some parts of a portal under the supervisor, which start faster, for faults that need no pages.

`python -m tests.faults.support.partial_portal deliveries scheduler` also starts its own Valkey.
"""

import os
import sys

from jobs.supervisor import Plan, become
from jobs.up import all_programs, migrate
from portal import commands
from portal.base_app import create_base_app
from portal.config.settings import load_settings


def main() -> None:
    """Migrate the database, then become the supervisor of the named programs."""
    settings = load_settings()
    app = create_base_app(settings)
    commands.init_migrations(app)
    with app.app_context():
        migrate(settings)
    names = {"valkey", *sys.argv[1:]}
    programs = [program for program in all_programs(settings) if program.name in names]
    environ = {"TZ": "UTC", "PYTHONUNBUFFERED": "1"}
    become(Plan(programs, settings.host, settings.port, []), os.environ | environ)


if __name__ == "__main__":
    main()
