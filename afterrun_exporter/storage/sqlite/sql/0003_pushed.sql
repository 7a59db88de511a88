-- What jobs have pushed that is exposed again under its own names.
CREATE TABLE pushed (
    id        INTEGER PRIMARY KEY,
    -- A JSON object, sorted by name: the grouping labels.
    labels    TEXT NOT NULL UNIQUE,
    job       TEXT NOT NULL,
    -- A JSON object: of each family its type, its help text and its series, which
    -- are an object of series and value as both are written.
    families  TEXT NOT NULL
) STRICT;
