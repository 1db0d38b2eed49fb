"""Labels, splits and the stream of samples."""
