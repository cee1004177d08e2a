"""Signing in and out, by the printed link or by name and password; accounts and invitations."""

from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from danlu.common.strict import from_mapping, to_mapping
from danlu.web.accounts import LOCAL, Account, Role
from danlu.web.endpoints import (
    Call,
    address_of,
    answered,
    check_origin,
    cookie_name,
    endpoint,
    json_body,
    services_of,
)
from danlu.web.guard import Refused
from danlu.web.services import Services

_EVERYBODY: tuple[Role, ...] = ("admin", "labeler")
_TOO_OFTEN = "there were too many failed sign-ins."


@dataclass(frozen=True)
class SignIn:
    """A name and its password."""

    name: str
    password: str


@dataclass(frozen=True)
class Join:
    """An invitation taken up."""

    token: str
    password: str


@dataclass(frozen=True)
class Invite:
    """Who is invited."""

    name: str
    role: str = "labeler"


def routes() -> list[BaseRoute]:
    """The routes of this file."""
    return [
        Route("/login", _by_link, methods=["GET"]),
        Route("/api/login", answered(_by_password), methods=["POST"]),
        Route("/api/join", answered(_join), methods=["POST"]),
        endpoint("/api/session", _session, roles=_EVERYBODY),
        endpoint("/api/logout", _logout, "POST", roles=_EVERYBODY),
        endpoint("/api/accounts", _accounts),
        endpoint("/api/accounts/invite", _invite, "POST"),
        endpoint("/api/accounts/{name}", _close, "DELETE"),
        endpoint("/api/audit", _audit),
    ]


async def _by_link(request: Request) -> Response:
    """The printed link: its token is good once. Without one, or with an old one, the sign-in page."""
    from danlu.web.pages import page

    services = services_of(request)
    offered = request.query_params.get("token", "")
    address = address_of(request)
    if not offered or not services.config.is_local:
        return page("login.html")
    wait = services.brake.wait(f"link {address}")
    if not wait and services.token.take(offered):
        secret = await run_in_threadpool(services.sessions.begin, Account(LOCAL, "admin"), address)
        services.token_used()
        return _with_cookie(services, RedirectResponse("/", 303), secret)
    services.brake.fail(f"link {address}")
    await run_in_threadpool(services.accounts.note, "link refused", address=address)
    return RedirectResponse("/login?refused=1", 303)


async def _by_password(request: Request) -> Response:
    check_origin(request)
    services, address = services_of(request), address_of(request)
    asked = from_mapping(SignIn, await json_body(request), "the request")
    keys = (f"name {asked.name[:64]}", f"address {address}")
    wait = services.brake.wait(*keys)
    if wait:
        raise Refused(429, _TOO_OFTEN, f"Wait {wait:.0f} seconds.", {"Retry-After": f"{wait + 1:.0f}"})
    services.brake.fail(*keys)  # counted before the slow check, so that many at once do not slip through
    account = await run_in_threadpool(services.accounts.check, asked.name, asked.password)
    if account is None:
        await run_in_threadpool(services.accounts.note, "sign-in refused", asked.name[:64], address=address)
        raise Refused(401, "the name or the password is wrong.", "Try again, or ask an administrator for a new one.")
    for key in keys:
        services.brake.succeed(key)
    return await _signed_in(services, account, address)


async def _join(request: Request) -> Response:
    check_origin(request)
    services, address = services_of(request), address_of(request)
    asked = from_mapping(Join, await json_body(request), "the request")
    wait = services.brake.wait(f"join {address}")
    if wait:
        raise Refused(429, "too many invitations were refused.", f"Wait {wait:.0f} seconds.")
    if await run_in_threadpool(services.accounts.invited, asked.token) is None:
        services.brake.fail(f"join {address}")
    account = await run_in_threadpool(services.accounts.join, asked.token, asked.password, address=address)
    return await _signed_in(services, account, address)


async def _signed_in(services: Services, account: Account, address: str) -> Response:
    secret = await run_in_threadpool(services.sessions.begin, account, address)
    return _with_cookie(services, JSONResponse(to_mapping(account)), secret)


def _with_cookie(services: Services, response: Response, secret: str) -> Response:
    response.set_cookie(
        cookie_name(services),
        secret,
        max_age=int(services.config.limits.session_seconds),
        httponly=True,
        samesite="strict",
        secure=services.config.secure_cookies,
    )
    return response


def _session(call: Call) -> dict[str, Any]:
    found = {**to_mapping(call.account), "csrf": call.session.csrf, "models": [], "run": None}
    found["has_model"] = any(call.services.models)
    if call.account.role == "admin":
        run = call.services.run
        found |= {"models": [model.name for model in call.services.models], "run": None if run is None else run.told()}
    return found


def _logout(call: Call) -> Response:
    call.services.sessions.end(call.session, call.address)
    response = JSONResponse({})
    response.delete_cookie(cookie_name(call.services), httponly=True, samesite="strict")
    return response


def _accounts(call: Call) -> list[dict[str, Any]]:
    return [to_mapping(account) for account in call.services.accounts.all()]


def _invite(call: Call) -> dict[str, str]:
    asked = call.read(Invite)
    services = call.services
    token = services.accounts.invite(
        asked.name, asked.role, services.config.limits.invite_seconds, actor=call.account.name, address=call.address
    )
    return {"path": f"/login?invite={token}"}


def _close(call: Call) -> dict[str, str]:
    call.services.accounts.remove(call.path["name"], actor=call.account.name, address=call.address)
    return {}


def _audit(call: Call) -> list[dict[str, Any]]:
    return [to_mapping(entry) for entry in call.services.accounts.audit(call.number("limit", 200, 1, 5000))]
