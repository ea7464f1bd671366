-- Since when it is known that the present phase cannot be told by itself.
ALTER TABLE Rollouts ADD COLUMN UndecidedSince INTEGER NULL;
