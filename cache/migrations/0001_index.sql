-- The index of a store. Everything about builds can be made again from their manifests; runs and
-- journals live here alone. Digests, keys and commits are lower-case hexadecimal, so that a
-- look-up by prefix is a range. Plain SQL that SQLite and PostgreSQL both take.

CREATE TABLE builds (
    input_key TEXT PRIMARY KEY NOT NULL,
    manifest TEXT NOT NULL,           -- digest of the manifest object
    result TEXT NOT NULL,             -- 'built' or 'failed'
    image TEXT,                       -- identity of the image; NULL when the build failed
    seconds DOUBLE PRECISION NOT NULL,
    created BIGINT NOT NULL,          -- seconds since 1970
    tree TEXT NOT NULL,
    family TEXT NOT NULL,             -- key of the request without its tree
    commit_id TEXT NOT NULL           -- the commit it was first built for
);
CREATE INDEX builds_by_image ON builds (image);
CREATE INDEX builds_by_tree ON builds (tree);
CREATE INDEX builds_by_family ON builds (family, created);

CREATE TABLE signatures (
    input_key TEXT NOT NULL REFERENCES builds (input_key),
    kind TEXT NOT NULL,
    version BIGINT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (input_key, kind)
);
CREATE INDEX signatures_by_hash ON signatures (hash);

CREATE TABLE build_ids (
    build_id TEXT NOT NULL,
    input_key TEXT NOT NULL REFERENCES builds (input_key),
    PRIMARY KEY (build_id, input_key)
);
CREATE INDEX build_ids_by_build ON build_ids (input_key);

CREATE TABLE artifacts (
    input_key TEXT NOT NULL REFERENCES builds (input_key),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,             -- plain bytes
    PRIMARY KEY (input_key, name)
);
CREATE INDEX artifacts_by_digest ON artifacts (digest);

-- Names for builds. They may be older than the row of the build they name: no reference.
CREATE TABLE requests (
    request_key TEXT PRIMARY KEY NOT NULL,
    input_key TEXT NOT NULL,
    how TEXT NOT NULL,                -- 'input': it leads to just this input; or 'closure'
    proved_from TEXT                  -- the closure (blob) that proved it; NULL unless 'closure'
);

CREATE TABLE revisions (
    commit_id TEXT NOT NULL,
    input_key TEXT NOT NULL,
    PRIMARY KEY (commit_id, input_key)
);

CREATE TABLE runs (
    id TEXT PRIMARY KEY NOT NULL,
    image TEXT NOT NULL,
    test TEXT NOT NULL,
    outcome TEXT NOT NULL,            -- 'ok', 'crash', 'boot-failure', 'infra'
    detail TEXT NOT NULL,             -- title or reason; '' when ok
    seconds DOUBLE PRECISION NOT NULL,
    finished BIGINT NOT NULL,         -- seconds since 1970
    console TEXT                      -- blob
);
CREATE INDEX runs_by_image ON runs (image, test, outcome, detail);
CREATE INDEX runs_by_console ON runs (console);

CREATE TABLE journals (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    header TEXT NOT NULL,             -- JSON
    created BIGINT NOT NULL           -- seconds since 1970
);
CREATE INDEX journals_by_kind ON journals (kind, created);

CREATE TABLE journal_events (
    journal TEXT NOT NULL REFERENCES journals (id),
    seq BIGINT NOT NULL,              -- 1, 2, 3, …
    at BIGINT NOT NULL,               -- seconds since 1970
    event TEXT NOT NULL,              -- JSON
    PRIMARY KEY (journal, seq)
);
