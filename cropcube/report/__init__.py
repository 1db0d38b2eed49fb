"""Accuracy, and the page that shows it."""
