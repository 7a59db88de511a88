-- The commit of the configuration by which a run was judged, with "-dirty" if files
-- differed from it; "" if there was none.
ALTER TABLE runs ADD COLUMN config_commit TEXT NOT NULL DEFAULT '';
