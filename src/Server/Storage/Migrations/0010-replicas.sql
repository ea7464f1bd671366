-- The small files of the signed tree, where several servers share it.
CREATE TABLE TreeFiles (
  Path TEXT PRIMARY KEY,
  Bytes BLOB NOT NULL
) WITHOUT ROWID;

-- Which server does what one alone may do, until when by the database's clock. Term counts its changes.
CREATE TABLE Leases (
  Name TEXT PRIMARY KEY,
  Holder TEXT NOT NULL,
  Term INTEGER NOT NULL,
  Until INTEGER NOT NULL
) WITHOUT ROWID;

-- Files of the data folder that all servers have alike, sealed under the cluster's key.
CREATE TABLE SharedKeys (
  Name TEXT PRIMARY KEY,
  Sealed BLOB NOT NULL
) WITHOUT ROWID;

-- Published: the plan's serial that the tree is known to hold.
ALTER TABLE Models ADD COLUMN Published INTEGER NOT NULL DEFAULT 0;
