"""Configurations in git repositories: fetching a ref, and reading the files of a commit."""
