"""Erase people: remove their names and addresses from the register, history, and audit trail."""
