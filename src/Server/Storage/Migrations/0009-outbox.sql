-- Where events are sent. The log of events is the outbox: each webhook has a place in it, up to which everything was sent or given up.
CREATE TABLE Webhooks (
  Number INTEGER PRIMARY KEY AUTOINCREMENT,
  Name TEXT NOT NULL,
  Target TEXT NOT NULL,
  Kinds TEXT NOT NULL,
  Models TEXT NOT NULL,
  SeesAll BOOLEAN NOT NULL,
  Secret BLOB NOT NULL,
  CreatedAt INTEGER NOT NULL,
  CreatedBy TEXT NOT NULL,
  Position INTEGER NOT NULL,
  DisabledAt INTEGER NULL,
  DisabledWhy TEXT NULL
);

-- What was tried: the event at which a webhook stands, what went before, and what is to be sent again.
CREATE TABLE Deliveries (
  Webhook INTEGER NOT NULL,
  Event INTEGER NOT NULL,
  State TEXT NOT NULL,
  Attempts INTEGER NOT NULL,
  NextAt INTEGER NOT NULL,
  LastStatus INTEGER NULL,
  LastError TEXT NULL,
  DoneAt INTEGER NULL,
  PRIMARY KEY (Webhook, Event)
) WITHOUT ROWID;
CREATE INDEX DeliveriesByState ON Deliveries (Webhook, State, Event);

-- Requests that were sent under a key, for a day. Body is sealed.
CREATE TABLE IdempotencyKeys (
  Subject TEXT NOT NULL,
  Key TEXT NOT NULL,
  Request TEXT NOT NULL,
  At INTEGER NOT NULL,
  Status INTEGER NULL,
  ContentType TEXT NULL,
  Location TEXT NULL,
  Body BLOB NULL,
  PRIMARY KEY (Subject, Key)
) WITHOUT ROWID;
