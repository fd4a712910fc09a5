"""The rules of one SLO, kind by kind, and the series that they record for each other."""
