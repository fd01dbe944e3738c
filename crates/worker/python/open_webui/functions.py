"""A base class for functions, as older documents show it."""


class Function:
    """Does nothing: `Pipe`, `Filter` and `Action` need no base class, and may have this one."""
