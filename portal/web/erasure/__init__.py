"""Erase a person: what it would change, a typed yes, and how far it got."""
