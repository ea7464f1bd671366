-- Reports are forgotten by when they came.
CREATE INDEX ReportsByReceivedAt ON Reports (ReceivedAt);
