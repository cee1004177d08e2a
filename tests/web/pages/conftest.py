"""A real Chromium on the pages of a real server; skipped where this machine has none."""

import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.waiting import PATIENCE
from tests.web.conftest import Served

PATH = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-smooth-scrolling"),
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if PATH is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=PATH, args=list(_FLAGS), timeout=1000 * PATIENCE)
        yield browser
        browser.close()


Visit = Callable[..., Any]


def until(page: Any, expression: str, argument: Any = None) -> None:
    """Wait until an expression is true in the page. (Playwright's own way needs eval, which our policy forbids.)"""
    deadline = time.monotonic() + PATIENCE
    while not page.evaluate(expression, argument):
        assert time.monotonic() < deadline, f"never came true: {expression}"
        page.wait_for_timeout(50)


def signed_in(context: Any, served: Served) -> None:
    """Have a browser profile open the printed link, without a page that still loads when the next one is opened."""
    answer = context.request.get(
        f"{served.url}/login?token={served.services.token.value}", max_redirects=0, timeout=1000 * PATIENCE
    )
    assert answer.status == 303


@pytest.fixture
def visit(chromium: Any, served: Served) -> Iterator[Visit]:
    """Opens a page in a new browser profile that has signed in; nothing may go wrong in its scripts."""
    wrong: list[str] = []
    contexts = []

    def open_page(path: str = "/", *, link: str | None = None, **options: Any) -> Any:
        context = chromium.new_context(locale=options.pop("locale", "en-US"), **options)
        contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE)
        if link is None:
            signed_in(context, served)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}") or dialog.dismiss())
        page.goto(served.url + (path if link is None else link))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong, wrong
