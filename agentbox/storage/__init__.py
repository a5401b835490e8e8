"""The journal: what was heard, understood, done and answered, and what tools keep, in one SQLite file."""
