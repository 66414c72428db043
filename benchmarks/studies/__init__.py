"""Studies: one file a question. `records/` holds what they found."""
