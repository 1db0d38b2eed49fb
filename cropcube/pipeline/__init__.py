"""The verbs: plan, drive, finalise."""
