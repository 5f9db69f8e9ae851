"""The check of pages: what each page that a test gets keeps to."""
