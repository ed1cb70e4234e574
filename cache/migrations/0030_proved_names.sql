-- By what a commit leads to a build of another tree. Plain SQL that SQLite and PostgreSQL both take.

ALTER TABLE revisions ADD COLUMN proved_from TEXT;  -- the closure (blob) that proved it; NULL: its own build

-- Of the names that are here nobody has written that down. A commit that is not the build's first one
-- has the same tree or was proved by the build's closure: in doubt it is as good as that closure.
UPDATE revisions SET proved_from = (
    SELECT a.digest FROM artifacts a
    WHERE a.input_key = revisions.input_key AND a.name = 'closure'
) WHERE EXISTS (
    SELECT 1 FROM builds b
    WHERE b.input_key = revisions.input_key AND LOWER(b.commit_id) <> revisions.commit_id
);
