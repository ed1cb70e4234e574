-- What retention needs to know. Plain SQL that SQLite and PostgreSQL both take.

-- When a build was last asked for, to the hour. One that is missing was last used when it was made.
CREATE TABLE uses (
    input_key TEXT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL                -- seconds since 1970
);

-- Builds that stay whatever the policy says.
CREATE TABLE pins (
    input_key TEXT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL                -- seconds since 1970
);

-- Blobs that an upload has stored, or has found here, and that its build may not name yet.
CREATE TABLE reservations (
    digest TEXT NOT NULL,
    owner TEXT NOT NULL,              -- the upload
    at BIGINT NOT NULL,               -- seconds since 1970
    PRIMARY KEY (digest, owner)
);
CREATE INDEX reservations_by_age ON reservations (at);
CREATE INDEX reservations_by_owner ON reservations (owner);

-- Its one row is written by whoever holds blobs and by whoever removes some: so one waits for the
-- other.
CREATE TABLE turns (
    id BIGINT PRIMARY KEY NOT NULL,
    taken BIGINT NOT NULL
);
INSERT INTO turns (id, taken) VALUES (1, 0);
