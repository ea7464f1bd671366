-- Releases of other models that a rollout brings with its own, as JSON; NULL for its own alone.
ALTER TABLE Rollouts ADD COLUMN Members TEXT NULL;
