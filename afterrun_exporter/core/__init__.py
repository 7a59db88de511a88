"""Decisions, as pure functions of a job, its state, an event and the time."""
