-- Groups of devices. Who was put into one has its label, group.NAME, among the device's labels; who is in one by a selector is found out when it matters.
CREATE TABLE Groups (
  Name TEXT PRIMARY KEY,
  Selector TEXT NULL,
  Description TEXT NOT NULL,
  ChangedAt INTEGER NOT NULL,
  ChangedBy TEXT NOT NULL
) WITHOUT ROWID;
