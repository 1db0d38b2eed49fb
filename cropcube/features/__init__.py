"""Features of one tile, from its observations."""
