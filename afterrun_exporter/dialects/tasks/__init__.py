"""Webhooks and task updates of task runners."""
