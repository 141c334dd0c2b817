"""Files that also run where headstart is not installed."""
