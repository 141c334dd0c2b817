"""The stages of a run, one file each. None of them knows images from texts."""
