"""Scene and tile in, pixels and mask out."""
