"""Connections, limits, TLS, and the fast path of reports."""
