"""The pages and their files. Which page a browser gets follows from its session; the files are everybody's."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from danlu.web.accounts import Role
from danlu.web.endpoints import session_of

FILES = Path(__file__).with_name("static")
_BOTH: tuple[Role, ...] = ("admin", "labeler")


def page(name: str) -> Response:
    """An HTML file."""
    return FileResponse(FILES / name, media_type="text/html; charset=utf-8", headers={"Cache-Control": "no-cache"})


def routes() -> list[BaseRoute]:
    """The routes of this file."""
    return [
        _page("/", "index.html", ("admin",)),
        _page("/label", "label.html", _BOTH),
        _page("/runs", "runs.html", ("admin",)),
        Mount("/static", _Files(directory=FILES)),
    ]


def _page(path: str, file: str, roles: tuple[Role, ...]) -> Route:
    async def answer(request: Request) -> Response:
        session = await session_of(request)
        if session is None:
            return RedirectResponse("/login", 303)
        return page(file) if session.account.role in roles else RedirectResponse("/label", 303)

    return Route(path, answer, methods=["GET"])


class _Files(StaticFiles):
    """Files that browsers ask for again each time (an unchanged one costs an empty answer)."""

    def file_response(self, *arguments: object, **more: object) -> Response:
        response = super().file_response(*arguments, **more)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response
