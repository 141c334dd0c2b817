"""Run a frozen module as fast as this machine can."""
