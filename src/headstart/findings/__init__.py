"""What looks wrong in the user's data, from arrays that a run already has. Reported, never acted upon."""
