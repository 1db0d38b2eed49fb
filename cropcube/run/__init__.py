"""How work is driven; knows no geography."""
