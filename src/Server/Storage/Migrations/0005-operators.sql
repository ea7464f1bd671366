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

-- Events become the audit log: who exactly, with what, from where, what changed, and the hash that chains each to the one before.
-- Entries from before get theirs at the next start.
ALTER TABLE Events ADD COLUMN Subject TEXT NULL;
ALTER TABLE Events ADD COLUMN Credential TEXT NULL;
ALTER TABLE Events ADD COLUMN Origin TEXT NULL;
ALTER TABLE Events ADD COLUMN Changes TEXT NULL;
ALTER TABLE Events ADD COLUMN Hash TEXT NOT NULL DEFAULT '';

CREATE TABLE AuditCheckpoints (
  Entry INTEGER PRIMARY KEY,
  Hash TEXT NOT NULL,
  At INTEGER NOT NULL,
  Signature BLOB NOT NULL
);

-- How many others must approve what somebody asks for; the strictest that holds the model counts.
CREATE TABLE ApprovalPolicies (
  Models TEXT PRIMARY KEY,
  Approvals INTEGER NOT NULL,
  SetAt INTEGER NOT NULL,
  SetBy TEXT NOT NULL,
  Why TEXT NOT NULL
) WITHOUT ROWID;

-- What was asked for and waits, or waited.
CREATE TABLE Approvals (
  Number INTEGER PRIMARY KEY AUTOINCREMENT,
  Model TEXT NOT NULL,
  Release TEXT NOT NULL,
  Rollout TEXT NULL,
  Selector TEXT NOT NULL,
  Act TEXT NOT NULL,
  Request TEXT NOT NULL,
  AskedAt INTEGER NOT NULL,
  AskedBy TEXT NOT NULL,
  AskedSubject TEXT NOT NULL,
  Why TEXT NOT NULL,
  Needed INTEGER NOT NULL,
  State TEXT NOT NULL,
  DoneAt INTEGER NULL,
  DoneBy TEXT NULL,
  DoneWhy TEXT NULL
);
CREATE INDEX ApprovalsByState ON Approvals (State, Number);

CREATE TABLE ApprovalVotes (
  Approval INTEGER NOT NULL,
  Subject TEXT NOT NULL,
  "By" TEXT NOT NULL,
  At INTEGER NOT NULL,
  Why TEXT NOT NULL,
  PRIMARY KEY (Approval, Subject)
) WITHOUT ROWID;
