"""The Zarr stores of a project: the only place that opens Zarr for writing."""
