"""A run on disk: its folder, options, record, progress and checkpoints."""
