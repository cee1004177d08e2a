"""Errors as OpenAI's clients read them: {"error": {"message", "type", "param", "code"}}."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from danlu.web.streaming import Json


class ApiError(Exception):
    """A request that is not served.

    Args:
        status: of HTTP.
        param: which field is wrong.
        code: a word for programs.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.headers = status, message, param, code, headers

    def body(self) -> dict[str, Any]:
        """The answer."""
        kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        """The answer, with its status."""
        return Json(self.body(), self.status, self.headers)


def wrong(param: str, message: str, code: str | None = None) -> ApiError:
    """A field with a wrong value."""
    return ApiError(400, message, param=param, code=code)
