-- Figures of gates stand under the arm of the device that reported them, as those of the experiment's metric do.
UPDATE RolloutFigures SET Arm = (SELECT Arm FROM RolloutDevices WHERE RolloutDevices.Rollout = RolloutFigures.Rollout AND RolloutDevices.Device = RolloutFigures.Device) WHERE Arm IS NULL;
