"""Values: frozen dataclasses, no I/O."""
