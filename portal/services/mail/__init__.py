"""Store emails with the change that causes them, then write and send them in a job."""
