-- What leads to a build, found by the build. Plain SQL that SQLite and PostgreSQL both take.

CREATE INDEX revisions_by_build ON revisions (input_key);
CREATE INDEX requests_by_build ON requests (input_key);
