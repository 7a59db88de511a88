"""Alertmanager: receivers, its managed configuration, and posted alerts."""
