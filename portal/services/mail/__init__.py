"""Emails: stored with what they tell of, written and sent by a job."""
