-- What functions keep through the compatibility package: chats, files, memories and the like. `kind` says which;
-- `data` is a JSON object whose members are the functions' affair.

CREATE TABLE documents (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    data TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX documents_by_user ON documents (kind, user_id);
