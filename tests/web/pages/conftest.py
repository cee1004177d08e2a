"""A real Chromium on the pages of a real server; skipped where this machine has none."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.web.conftest import Served

PATH = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if PATH is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=PATH, args=list(_FLAGS))
        yield browser
        browser.close()


Visit = Callable[..., Any]


def until(page: Any, expression: str, argument: Any = None) -> None:
    """Wait until an expression is true in the page. (Playwright's own way needs eval, which our policy forbids.)"""
    for _ in range(600):
        if page.evaluate(expression, argument):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never came true: {expression}")


@pytest.fixture
def visit(chromium: Any, served: Served) -> Iterator[Visit]:
    """Opens a page in a new browser profile that has signed in; nothing may go wrong in its scripts."""
    wrong: list[str] = []
    contexts = []

    def open_page(path: str = "/", *, link: str | None = None, **options: Any) -> Any:
        context = chromium.new_context(locale=options.pop("locale", "en-US"), **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}") or dialog.dismiss())
        page.goto(f"{served.url}/login?token={served.services.token.value}" if link is None else f"{served.url}{link}")
        if link is None and path != "/":
            page.goto(served.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong, wrong
