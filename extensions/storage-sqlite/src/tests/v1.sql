-- A store as version 1 of the schema made it: what an upgrade starts from. It is not to be changed.
PRAGMA journal_mode = wal;
PRAGMA application_id = 0x44535031;
PRAGMA user_version = 1;
CREATE TABLE entry (
    namespace TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL) STRICT;
CREATE TABLE blob (id INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT UNIQUE, bytes INTEGER NOT NULL) STRICT;
CREATE TABLE blob_part (
    blob_id INTEGER NOT NULL, offset INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (blob_id, offset)
) STRICT, WITHOUT ROWID;
CREATE TABLE blob_owner (
    namespace TEXT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (namespace, hash)
) STRICT, WITHOUT ROWID;
CREATE TABLE upload (
    namespace TEXT NOT NULL, upload_id TEXT NOT NULL, blob_id INTEGER NOT NULL, touched_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, upload_id)
) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES (1, 7);
INSERT INTO entry VALUES ('test', 'a', 3, '{ "odd" : 1e400 }'), ('test', 'ä', 7, '"two"'), ('other', 'a', 5, '1');
INSERT INTO blob VALUES (1, '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', 4), (2, NULL, 1);
INSERT INTO blob_part VALUES (1, 0, x'7465'), (1, 2, x'7374'), (2, 0, x'78');
INSERT INTO blob_owner VALUES
    ('test', '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'),
    ('other', '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08');
INSERT INTO upload VALUES ('test', 'begun', 2, 0);
