"""A store in PostgreSQL, which several replicas share."""
