-- People and programs that may act, and their tokens. The operators of before had a token each, of a form that is not taken any more:
-- the next start makes the admin a new one.
DROP TABLE Operators;

CREATE TABLE Operators (
  Name TEXT PRIMARY KEY,
  Subject TEXT NULL UNIQUE,
  Grants TEXT NOT NULL,
  CreatedAt INTEGER NOT NULL,
  CreatedBy TEXT NOT NULL,
  RemovedAt INTEGER NULL
) WITHOUT ROWID;

CREATE TABLE ApiTokens (
  Id TEXT PRIMARY KEY,
  Name TEXT NOT NULL,
  Operator TEXT NOT NULL,
  Hash TEXT NOT NULL,
  Grants TEXT NOT NULL,
  CreatedAt INTEGER NOT NULL,
  CreatedBy TEXT NOT NULL,
  ExpiresAt INTEGER NULL,
  LastUsedAt INTEGER NULL,
  LastUsedFrom TEXT NULL,
  RevokedAt INTEGER NULL,
  RevokedBy TEXT NULL
) WITHOUT ROWID;
CREATE INDEX ApiTokensByOperator ON ApiTokens (Operator);
