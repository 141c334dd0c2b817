"""The small training loop behind a cut."""
