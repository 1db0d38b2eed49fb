"""The small real data set behind the demo."""
