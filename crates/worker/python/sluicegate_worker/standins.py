"""Objects handed to functions in place of the real product's: the user, a model's entry, the HTTP request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http.cookies import CookieError, SimpleCookie
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class User(dict[str, Any]):
    """`__user__`: a dictionary that also answers to attributes."""

    def __getattr__(self, name: str) -> Any:
        """A member by its name."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"'dict' object has no attribute '{name}'") from None

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles as a plain dictionary."""
        return dict, (dict(self),)


class ModelEntry(dict[str, Any]):
    """`__metadata__["model"]`: a model's entry that behaves like the model's id where text is asked of it."""

    def __str__(self) -> str:
        """The id."""
        return str(self.get("id", ""))

    def __format__(self, spec: str) -> str:
        """The id, formatted."""
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        """Compares with text as the id, with entries as a dictionary."""
        return str(self) == other if isinstance(other, str) else super().__eq__(other)

    def __hash__(self) -> int:  # type: ignore[override]
        """The id's, so that it is found in sets of ids."""
        return hash(str(self))

    def __getattr__(self, name: str) -> Any:
        """The id's methods, such as `split` and `startswith`."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(str(self), name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles as a plain dictionary."""
        return dict, (dict(self),)


# Functions look at `type(__user__).__name__`, as old versions of the product handed out tuples.
User.__name__ = User.__qualname__ = "dict"
ModelEntry.__name__ = ModelEntry.__qualname__ = "dict"


def model_entry(model: Any) -> Any:
    """The entry with its text manners, where it is one."""
    return ModelEntry(model) if isinstance(model, dict) and "id" in model else model


class Headers(Mapping[str, str]):
    """Request headers, found in any case."""

    def __init__(self, items: Any) -> None:
        pairs = items.items() if isinstance(items, dict) else items or ()
        self._items = {str(name).lower(): str(value) for name, value in pairs}

    def __getitem__(self, name: str) -> str:
        """A header's value."""
        return self._items[name.lower()]

    def __iter__(self) -> Iterator[str]:
        """The names, in lower case."""
        return iter(self._items)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._items)


class Url(str):
    """A URL with its parts as attributes."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        """`scheme`, `netloc`, `hostname`, `port`, `path`, `query`, `fragment`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(urlsplit(self), name)


class Request:
    """`__request__`: what functions use of the HTTP request, and the way back into the gateway."""

    def __init__(self, described: dict[str, Any], model: Any, context: Any) -> None:
        self.method = str(described.get("method", "POST"))
        self.url = Url(described.get("url", ""))
        self.headers = Headers(described.get("headers"))
        self.client = client_of(described.get("client"))
        self.query_params = dict(parse_qsl(self.url.query))
        self.cookies = cookies_of(self.headers.get("cookie", ""))
        self.path_params: dict[str, str] = {}
        self.state = SimpleNamespace()
        self.app = App(described, model)
        self.sluicegate_context = context

    @property
    def base_url(self) -> Url:
        """The gateway's own address."""
        return Url(f"{self.url.scheme}://{self.url.netloc}/")

    def url_for(self, name: str, /, **_: Any) -> Url:
        """An address for a route's name; there are no named routes, so it leads nowhere."""
        return Url(f"{self.base_url}{name}")

    async def body(self) -> bytes:
        """Nothing: the handler has the body."""
        return b""

    async def json(self) -> dict[str, Any]:
        """Nothing: the handler has the body."""
        return {}

    async def is_disconnected(self) -> bool:
        """Never: a client that leaves cancels the call."""
        return False


Request.__module__ = "starlette.requests"


class App:
    """`__request__.app`: the state functions look models and functions up in."""

    def __init__(self, described: dict[str, Any], model: Any) -> None:
        models = described.get("models")
        if not isinstance(models, dict):
            models = {model["id"]: model} if isinstance(model, dict) and "id" in model else {}
        config = SimpleNamespace()
        self.state = SimpleNamespace(MODELS=models, FUNCTIONS={}, TOOLS={}, config=config)

    def url_path_for(self, name: str, /, **_: Any) -> str:
        """A path for a route's name; there are no named routes, so it leads nowhere."""
        return f"/{name}"


def client_of(described: Any) -> SimpleNamespace | None:
    """The peer's address as `host` and `port`."""
    if isinstance(described, dict):
        return SimpleNamespace(host=described.get("host"), port=described.get("port"))
    if isinstance(described, list) and len(described) == 2:
        return SimpleNamespace(host=described[0], port=described[1])
    return SimpleNamespace(host=described, port=0) if isinstance(described, str) else None


def cookies_of(header: str) -> dict[str, str]:
    """The cookies of a header; none if it is malformed."""
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(header)
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in cookies.items()}
