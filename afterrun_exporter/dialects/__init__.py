"""Wire protocols of other systems."""
