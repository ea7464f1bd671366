-- When this server's state was put back from a backup: what devices may have seen is behind these numbers. LeastNext: JSON, by role.
CREATE TABLE Restores (
  Number INTEGER PRIMARY KEY AUTOINCREMENT,
  At INTEGER NOT NULL,
  BackupAt INTEGER NOT NULL,
  Version INTEGER NOT NULL,
  Serial INTEGER NOT NULL,
  LeastNext TEXT NOT NULL
);
