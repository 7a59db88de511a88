"""The native protocol: reports of jobs, and their responses."""
