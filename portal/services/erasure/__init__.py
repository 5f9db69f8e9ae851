"""People erased: their names and addresses leave the register, its history and the audit trail."""
