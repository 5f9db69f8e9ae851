"""The linter for every page that a test gets."""
