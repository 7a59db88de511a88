"""Readers of other systems' job definitions, and of past runs.

Each module has one source: a pure function takes texts and returns an
:class:`~afterrun_exporter.importers.model.Imported`. `cli/` reads files, asks servers
and writes.
"""
