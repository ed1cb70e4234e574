-- What a database needs that several machines share.

-- Facts about the index itself: whose it is ('store'), and that it holds every build ('complete').
CREATE TABLE settings (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

-- Writers of one journal queue up at its row, which counts its events.
ALTER TABLE journals ADD COLUMN events BIGINT NOT NULL DEFAULT 0;
ALTER TABLE journals ADD COLUMN updated BIGINT NOT NULL DEFAULT 0;  -- seconds since 1970
UPDATE journals SET
    events = (SELECT COUNT(*) FROM journal_events e WHERE e.journal = journals.id),
    updated = (SELECT COALESCE(MAX(e.at), journals.created)
               FROM journal_events e WHERE e.journal = journals.id);
