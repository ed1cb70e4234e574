-- What lets collecting, packing and uploads go on side by side; `src/retention/mod.rs` says how.

-- How often the use of a build was written. Whoever read it before knows whether it is used since.
ALTER TABLE uses ADD COLUMN times BIGINT NOT NULL DEFAULT 0;

-- Row 2 counts how often somebody began to pack or to collect: the last one is the only one.
INSERT INTO turns (id, taken) VALUES (2, 0);
