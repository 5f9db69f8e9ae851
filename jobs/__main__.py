"""The worker and scheduler commands without the web pages, as in `python -m jobs worker
deliveries`."""

import sys

import click

from jobs.cli import scheduler, worker
from portal.config.values import SettingsError

main = click.Group("jobs", commands=[worker, scheduler])

if __name__ == "__main__":
    try:
        main()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
