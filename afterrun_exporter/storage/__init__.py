"""Durable states, runs and alerts, and notifications that wait to be posted."""
