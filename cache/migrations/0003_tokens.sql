-- Who may do what over HTTP. Of a token only the hash is kept.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY NOT NULL,     -- what people call it
    name TEXT NOT NULL,               -- what it is for
    hash TEXT NOT NULL UNIQUE,
    scope TEXT NOT NULL,              -- 'read' or 'write'
    created BIGINT NOT NULL,          -- seconds since 1970, like those below
    expires BIGINT,                   -- NULL: never
    revoked BIGINT                    -- NULL: not
);
