"""How the pages' endpoints are written: a function of a call, run in a thread, behind session, Origin and CSRF."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from danlu.common.errors import DanluError
from danlu.common.strict import from_mapping
from danlu.web.accounts import Account, Role
from danlu.web.database import reason
from danlu.web.guard import Refused, log, parse_json, read_body, same_origin
from danlu.web.services import Services
from danlu.web.sessions import Session
from danlu.web.streaming import Json

T = TypeVar("T")
READS = ("GET", "HEAD")
NO_DATABASE = ("the database cannot be reached now.", "Try again in a moment.")


@dataclass(frozen=True)
class Call:
    """A request whose sender is known and allowed."""

    services: Services
    session: Session
    path: Mapping[str, str]
    """What stands in the URL's places."""
    query: Mapping[str, str]
    body: Mapping[str, Any]
    address: str
    """Where it came from."""

    @property
    def account(self) -> Account:
        """Who calls."""
        return self.session.account

    def read(self, kind: type[T]) -> T:
        """The body as a dataclass, strictly.

        Raises:
            DanluError: a key is unknown or missing, or a value of the wrong type.
        """
        return from_mapping(kind, self.body, "the request")

    def number(self, name: str, default: int, least: int = 0, most: int = 10**9) -> int:
        """A whole number from the query."""
        text = self.query.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 12) or not least <= int(text) <= most:
            raise DanluError(f"{name} is {text[:20]!r}.", f"Give a whole number from {least} to {most}.")
        return int(text)


def endpoint(
    path: str, function: Callable[[Call], Any], method: str = "GET", roles: tuple[Role, ...] = ("admin",)
) -> Route:
    """A route whose function maps a call to a JSON value (or a Response), in a thread of its own.

    Args:
        roles: who may call it.
    """

    async def answer(request: Request) -> Response:
        call = await admit(request, roles)
        value = await run_in_threadpool(function, call)
        return value if isinstance(value, Response) else Json(value)

    return Route(path, answered(answer), methods=[method])


def services_of(request: Request) -> Services:
    """What the application was made with."""
    found: Services = request.app.state.services
    return found


def cookie_name(services: Services) -> str:
    """Browsers keep cookies by host, not by port: two servers of one machine must not share theirs."""
    return f"danlu-{services.config.port}"


async def session_of(request: Request) -> Session | None:
    """The session of a request's cookie."""
    services = services_of(request)
    secret = request.cookies.get(cookie_name(services))
    if not secret:
        return None
    return await run_in_threadpool(services.sessions.find, secret, local=services.config.is_local)


async def admit(request: Request, roles: tuple[Role, ...]) -> Call:
    """Find out who calls and whether they may.

    Raises:
        Refused: they may not: no session (401), not their role, not from our page, or without its CSRF token (403).
    """
    services = services_of(request)
    session = await session_of(request)
    if session is None:
        raise Refused(401, "you are not signed in.", "Open the link that danlu serve printed, or sign in.")
    if session.account.role not in roles:
        raise Refused(403, f"a {session.account.role} may not do this.", "Ask an administrator.")
    body: Mapping[str, Any] = {}
    if request.method not in READS:
        check_origin(request)
        offered = request.headers.get("x-csrf-token", "")
        if not hmac.compare_digest(offered.encode("utf-8", "surrogatepass"), session.csrf.encode()):
            raise Refused(403, "the CSRF token is missing or wrong.", "Load the page again.")
        body = await json_body(request)
    path = {key: str(value) for key, value in request.path_params.items()}
    return Call(services, session, path, dict(request.query_params), body, address_of(request))


def check_origin(request: Request) -> None:
    """Refuse a write that another site's page sent, or that says nothing of where it comes from."""
    if not same_origin(request):
        raise Refused(403, "this request does not come from the server's own pages.", "Use the page itself.")


async def json_body(request: Request) -> Mapping[str, Any]:
    """The body as a JSON object; empty where there is none."""
    data = await read_body(request, services_of(request).config)
    if not data:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, f"the body is of the type {kind[:50]!r}.", "Send application/json.")
    return parse_json(data)


def address_of(request: Request) -> str:
    """Where a request came from."""
    return request.client.host if request.client else ""


def answered(answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """The endpoint with what it refuses turned into JSON: {"error": {"message", "remedy"}}."""

    async def safe(request: Request) -> Response:
        try:
            response: Response = await answer(request)
            return response
        except Refused as refusal:
            return _error(refusal.status, refusal.cause, refusal.remedy, refusal.headers)
        except DanluError as error:
            return _error(400, error.cause, error.remedy)
        except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
            log.error("%s %s: the database: %s", request.method, request.url.path, reason(error))
            return _error(503, *NO_DATABASE, {"Retry-After": "2"})
        except sa.exc.DataError as error:
            return _error(400, f"the database cannot keep this: {reason(error)}.", "Leave out what is not text.")
        except Exception:  # noqa: BLE001 (the last stop: the browser learns nothing of our insides)
            log.exception("%s %s failed", request.method, request.url.path)
            return _error(500, "something went wrong in the server.", "Its log says what; please report it.")

    return safe


def _error(status: int, message: str, remedy: str, headers: Mapping[str, str] | None = None) -> Response:
    return Json({"error": {"message": message, "remedy": remedy}}, status, headers)
