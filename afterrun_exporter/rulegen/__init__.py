"""Generated alerting rules, Alertmanager configuration and dashboards."""
