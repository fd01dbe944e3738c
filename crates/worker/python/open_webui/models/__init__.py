"""The records functions look up."""
