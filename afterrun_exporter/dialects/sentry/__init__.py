"""The protocol of Sentry's cron monitors."""
