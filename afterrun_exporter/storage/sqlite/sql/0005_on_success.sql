-- Whether somebody is told of the runs of a job that ended ok, too.
ALTER TABLE receivers ADD COLUMN on_success INTEGER NOT NULL DEFAULT 0;
