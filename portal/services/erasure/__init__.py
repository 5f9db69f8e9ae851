"""Erase people's names and addresses from the register, its history, and the audit trail."""
