"""What has to be true before an SLO is let in: pure judgements over facts that others gather."""
