"""The protocol of Healthchecks."""
