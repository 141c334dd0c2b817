"""The user's files become checked examples: read, infer columns, decode once, group, split."""
