"""The protocol of Cronitor."""
