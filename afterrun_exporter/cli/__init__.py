"""The command `afterrun`."""
