"""`__request__`: what functions use of the HTTP request and of the application behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from sluicegate_worker.compat.facade import GATEWAY, Question, current_request
from sluicegate_worker.compat.inert import Inert
from sluicegate_worker.compat.siblings import Instances

if TYPE_CHECKING:
    from sluicegate_worker.context import RequestContext

#: Paths of the routes that functions look up by the name of their handler.
ROUTES = {
    "get_file_by_id": "/api/v1/files/{id}",
    "get_file_content_by_id": "/api/v1/files/{id}/content",
    "get_html_file_content_by_id": "/api/v1/files/{id}/content/html",
}


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
        self.scope = {"type": "http", "method": self.method, "path": self.url.path}
        self.state = State("request.state")
        self.app = App(described, model)
        self.sluicegate_context = context
        self._body = described.get("body")

    @property
    def base_url(self) -> Url:
        """The gateway's own address."""
        return Url(f"{self.url.scheme}://{self.url.netloc}/")

    def url_for(self, name: str, /, **parameters: Any) -> Url:
        """An address for a route's name."""
        return Url(f"{self.base_url}{path_for(name, parameters).removeprefix('/')}")

    async def body(self) -> bytes:
        """The body as the client sent it, where the gateway tells; else nothing, since the handler has it."""
        return b"" if self._body is None else json.dumps(self._body, ensure_ascii=False).encode("utf-8", "replace")

    async def json(self) -> Any:
        """The same, parsed."""
        return {} if self._body is None else self._body

    async def is_disconnected(self) -> bool:
        """Never: a client that leaves cancels the call."""
        return False


Request.__module__ = "starlette.requests"


class State(SimpleNamespace):
    """Members by name. Those nobody set do nothing, and say so when they are used."""

    def __init__(self, path: str, **members: Any) -> None:
        super().__init__(**members)
        self.__dict__["_path"] = path

    @property
    def _state(self) -> dict[str, Any]:
        """The members, where Starlette keeps them."""
        return self.__dict__

    def __getattr__(self, name: str) -> Any:
        """A member that does nothing."""
        if name.startswith("_"):
            raise AttributeError(name)
        return Inert(f"{self._path}.{name}")


class Models(MutableMapping[str, Any]):
    """The caller's models by their ids: asked for once, when a function first looks."""

    def __init__(self, known: dict[str, Any]) -> None:
        self._known = known
        self._is_asked = False

    def __getitem__(self, id: str) -> Any:
        """A model's entry."""
        # The request's own model is known without asking.
        return self._known[id] if id in self._known else self._all()[id]

    def __setitem__(self, id: str, entry: Any) -> None:
        """Changes what this request's functions see."""
        self._all()[id] = entry

    def __delitem__(self, id: str) -> None:
        """Changes what this request's functions see."""
        del self._all()[id]

    def __iter__(self) -> Iterator[str]:
        """The ids."""
        return iter(self._all())

    def __len__(self) -> int:
        """How many there are."""
        return len(self._all())

    def copy(self) -> dict[str, Any]:
        """The entries as a dictionary."""
        return dict(self._all())

    def _all(self) -> dict[str, Any]:
        if not self._is_asked:
            listed = GATEWAY.ask_sync(Question("models.list", {})) or []
            self._known.update({entry["id"]: entry for entry in listed if isinstance(entry, dict) and "id" in entry})
            self._is_asked = True
        return self._known


class App:
    """`__request__.app`: the state functions look models and functions up in."""

    def __init__(self, described: dict[str, Any], model: Any) -> None:
        known = {model["id"]: model} if isinstance(model, dict) and "id" in model else {}
        models = Models(known)
        self.state = State(
            "app.state",
            MODELS=models,
            BASE_MODELS=models,
            OPENAI_MODELS=models,
            OLLAMA_MODELS={},
            FUNCTIONS=Instances(),
            TOOLS={},
            TOOL_SERVERS=[],
            redis=None,
            config=State("app.state.config"),
        )

    def url_path_for(self, name: str, /, **parameters: Any) -> str:
        """A path for a route's name."""
        return path_for(name, parameters)


class CurrentApp:
    """`open_webui.main.app`: the application of the request that is being handled."""

    def __init__(self) -> None:
        self._outside = App({}, None)

    def __getattr__(self, name: str) -> Any:
        """Whatever that application has."""
        if name.startswith("__"):
            raise AttributeError(name)
        context: RequestContext | None = current_request()
        app = self._outside if context is None else context.request.app
        return getattr(app, name, None) or Inert(f"open_webui.main.app.{name}")


def path_for(name: str, parameters: dict[str, Any]) -> str:
    """The path of a route; one named after it where there is none."""
    route = ROUTES.get(name, f"/{name}")
    for parameter, value in parameters.items():
        route = route.replace(f"{{{parameter}}}", str(value))
    return route


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
