"""The map of one tile, and what is written from maps."""
