"""The small real data set behind `cropcube demo`."""
