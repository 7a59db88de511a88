"""The running system: the service, its jobs, and their wake-ups."""
