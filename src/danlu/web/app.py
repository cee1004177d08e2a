"""The application: routes, middleware, and what they share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from danlu.web import chat, label, pages, runs, signin
from danlu.web.database import reason
from danlu.web.endpoints import NO_DATABASE
from danlu.web.generating import Bridge
from danlu.web.guard import Guard, log
from danlu.web.memory import tidy
from danlu.web.services import Services
from danlu.web.v1 import api


def create_app(services: Services) -> Starlette:
    """The ASGI application; it starts loading the models when it starts, and closes the services when it ends."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        services.bridge = Bridge()
        services.conversations.settle()
        services.models.start()
        tidying = asyncio.create_task(tidy(services.models.steps))
        try:
            yield
        finally:
            tidying.cancel()
            services.close()

    app = Starlette(
        routes=[*signin.routes(), *chat.routes(), *label.routes(), *runs.routes(), *api.routes(), *pages.routes()],
        middleware=[Middleware(Guard, config=services.config)],
        exception_handlers={HTTPException: _refuse, sa.exc.OperationalError: _without_database},
        lifespan=lifespan,
    )
    app.state.services = services
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    """Unknown paths and methods, in JSON."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}."
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
    return JSONResponse(body, error.status_code, error.headers)


async def _without_database(request: Request, error: Exception) -> Response:
    """Pages whose reader cannot be looked up."""
    assert isinstance(error, sa.exc.OperationalError)
    log.error("%s %s: the database: %s", request.method, request.url.path, reason(error))
    return PlainTextResponse(" ".join(NO_DATABASE), 503, {"Retry-After": "2"})
