"""Region and season in, scenes out."""
