"""The stores: the only place that opens Zarr for writing, and the ledger of tasks."""
