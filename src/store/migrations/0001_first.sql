-- Columns named user_id refer to no table: users may also be set up in the configuration. The same holds for
-- user_valves.function_id: functions may also be files of a folder.

CREATE TABLE users (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('user', 'admin')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX keys_by_user ON keys (user_id);

CREATE TABLE functions (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    content TEXT NOT NULL,
    meta TEXT NOT NULL,
    valves TEXT NOT NULL,
    is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    is_global INTEGER NOT NULL CHECK (is_global IN (0, 1)),
    version_id TEXT NOT NULL,
    learnt TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- `sequence` orders uploads of one second.
CREATE TABLE function_versions (
    sequence INTEGER PRIMARY KEY,
    version_id TEXT NOT NULL UNIQUE,
    function_id TEXT NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    content TEXT NOT NULL,
    user_id TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX function_versions_by_function ON function_versions (function_id);

CREATE TABLE user_valves (
    function_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    valves TEXT NOT NULL,
    PRIMARY KEY (function_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_valves_by_user ON user_valves (user_id);

CREATE TABLE models (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL,
    base_model_id TEXT,
    name TEXT NOT NULL,
    params TEXT NOT NULL,
    meta TEXT NOT NULL,
    access_grants TEXT NOT NULL,
    is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE settings (
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
