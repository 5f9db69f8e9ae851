"""Receivers of every kind against the real transport."""
