"""The protocol of Pushgateway."""
