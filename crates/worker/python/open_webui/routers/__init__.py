"""Route handlers that functions call directly."""
