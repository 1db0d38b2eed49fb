"""Classifiers: CropNet and the forest."""
