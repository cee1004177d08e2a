"""What must not get through: strangers, other sites, wrong roles, bombs, names that lead elsewhere, secrets in logs."""

import ast
import io
import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.waiting import PATIENCE, get, post

import danlu
from danlu.cli.main import main
from danlu.web.accounts import LOCAL, Account, Accounts
from danlu.web.config import ServerConfig
from danlu.web.database import Database
from danlu.web.pages import FILES
from danlu.web.passwords import hash_password, password_matches
from danlu.web.served import ServedModels
from danlu.web.sessions import Brake

from .conftest import DATABASES, LIMITS, Served, database, start

PASSWORD = "correct horse 电池"


@pytest.fixture(scope="module", params=DATABASES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server without models, with an administrator and a labeler."""
    data = tmp_path_factory.mktemp("site")
    runs = data / "runs"
    (runs / "one").mkdir(parents=True)
    (runs / "one" / "recipe.toml").write_text("seed = 1\n")
    (data / "secret.json").write_text('{"secret": true}')
    limits = replace(LIMITS, body_bytes=100_000, login_failures=3)
    with database(request.param) as places:
        found, stop = start(ServerConfig(data=data, port=0, runs=runs, limits=limits, **places), ServedModels([]))
        found.services.accounts.add("ada", "admin", PASSWORD)
        found.services.accounts.add("lin", "labeler", PASSWORD)
        yield found
        stop()


def sign_in(site: Served, name: str) -> httpx.Client:
    client = httpx.Client(base_url=site.url, timeout=PATIENCE, headers={"Origin": site.url})
    answer = client.post("/api/login", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return site.with_csrf(client)


@pytest.fixture(scope="module")
def admin(site: Served) -> Iterator[httpx.Client]:
    client = sign_in(site, "ada")
    yield client
    client.close()


@pytest.fixture(scope="module")
def labeler(site: Served) -> Iterator[httpx.Client]:
    client = sign_in(site, "lin")
    yield client
    client.close()


def test_the_printed_link_is_good_once(site: Served) -> None:
    token = site.services.token.value
    answer = get(f"{site.url}/login", params={"token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    again = get(f"{site.url}/login", params={"token": token})
    assert (again.status_code, again.headers["location"]) == (303, "/login?refused=1")
    assert "set-cookie" not in again.headers
    assert site.services.token.value != token


def test_strangers_see_the_sign_in_page_alone(site: Served) -> None:
    for path in ("/", "/label", "/runs"):
        answer = get(f"{site.url}{path}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    for path in ("/api/session", "/api/conversations", "/api/runs", "/api/label/next", "/api/accounts", "/api/audit"):
        assert get(f"{site.url}{path}").status_code == 401
    for cookie in ("", "x", "a" * 5000, "';--"):
        headers = {"Cookie": f"danlu-{site.services.config.port}={cookie}"}
        assert get(f"{site.url}/api/session", headers=headers).status_code == 401


def test_every_answer_has_the_headers(site: Served, admin: httpx.Client) -> None:
    for path in ("/login", "/static/common.js", "/api/session", "/nowhere", "/health", "/v1/models"):
        headers = admin.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")


WRITE = {"id": "conversation-1", "title": "x"}


def test_writes_need_our_page_and_its_token(site: Served, admin: httpx.Client) -> None:
    def write(**changes: str | None) -> int:
        headers = {**admin.headers, **changes}
        kept = {name: value for name, value in headers.items() if value is not None}
        with httpx.Client(base_url=site.url, cookies=admin.cookies, headers=kept, timeout=PATIENCE) as client:
            return client.post("/api/conversations", json=WRITE).status_code

    assert write() == 200
    assert write(**{"x-csrf-token": None}) == 403
    assert write(**{"x-csrf-token": "wrong"}) == 403
    assert write(origin=None) == 403
    assert write(origin="null") == 403
    assert write(origin="http://evil.example") == 403
    assert write(origin=site.url + ".evil.example") == 403
    assert write(**{"sec-fetch-site": "cross-site"}) == 403
    assert write(**{"sec-fetch-site": "same-origin"}) == 200
    login = post(f"{site.url}/api/login", json={"name": "ada", "password": PASSWORD})
    assert login.status_code == 403


def test_other_sites_may_not_use_the_models(site: Served) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}):
        answer = post(f"{site.url}/v1/completions", headers=headers, content=b"{}")
        assert answer.status_code == 403
    rebound = get(f"{site.url}/v1/models", headers={"Host": "evil.example"})
    assert rebound.status_code == 421


def test_a_labeler_labels_and_no_more(labeler: httpx.Client) -> None:
    assert labeler.get("/api/label/next").json() == {"task": None}
    assert labeler.get("/api/session").json()["models"] == []
    assert labeler.get("/").headers["location"] == "/label"
    for path in ("/api/conversations", "/api/models", "/api/runs", "/api/accounts", "/api/audit", "/api/label/figures"):
        assert labeler.get(path).status_code == 403
    for path in ("/api/label/tasks", "/api/label/sample", "/api/accounts/invite", "/api/label/adjudications"):
        assert labeler.post(path, json={}).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/../config.py",
        "/static/%2e%2e/config.py",
        "/static/..%2fconfig.py",
        "/static/..%5cconfig.py",
        "/static//etc/passwd",
        "/static/%00",
        "/api/runs/../secret.json",
        "/api/runs/..%2f..",
        "/api/runs/%2e%2e",
        "/api/runs/one/../../secret.json",
        "/api/runs/%2fetc",
        "/api/runs/one/metrics?file=../../secret.json",
        "/api/runs/one/metrics?file=/etc/passwd",
    ],
)
def test_names_lead_nowhere_else(site: Served, admin: httpx.Client, path: str) -> None:
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in admin.cookies.jar)
    with socket.create_connection(("127.0.0.1", site.services.config.port), timeout=PATIENCE) as raw:
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookies}\r\nConnection: close\r\n\r\n"
        raw.sendall(head.encode())
        answer = raw.makefile("rb").read()
    assert answer.split(b" ")[1] in (b"400", b"404"), answer
    assert b'secret": true' not in answer
    assert b"root:" not in answer


def test_bodies_that_are_too_long(site: Served, admin: httpx.Client) -> None:
    assert admin.post("/api/conversations", json={**WRITE, "title": "x" * 200_000}).status_code == 413

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 10_000

    headers = {"Content-Type": "application/json"}
    assert admin.post("/api/conversations", content=endless(), headers=headers).status_code == 413
    for path in ("/v1/completions", "/tokenize"):
        assert post(f"{site.url}{path}", content=b" " * 200_000).status_code == 413


def test_a_body_that_never_comes(impatient: Served) -> None:
    with socket.create_connection(("127.0.0.1", impatient.services.config.port), timeout=PATIENCE) as raw:
        raw.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert raw.makefile("rb").readline() == b"HTTP/1.1 408 Request Timeout\r\n"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"\xff\xfe", b"[" * 50_000, b'{"id": NaN}', b'{"id": "\\ud800"}', b"null"]
)
def test_malformed_bodies(admin: httpx.Client, body: bytes) -> None:
    answer = admin.post("/api/conversations", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "remedy"}
    form = admin.post("/api/conversations", content=body, headers={"Content-Type": "text/plain"})
    assert form.status_code == 415


def test_unknown_keys_and_wrong_types_are_named(admin: httpx.Client) -> None:
    answer = admin.post("/api/conversations", json={**WRITE, "titel": "x"}).json()["error"]
    assert answer["message"] == "the request: unknown key 'titel'."
    assert answer["remedy"] == "Did you mean 'title'?"
    assert admin.post("/api/conversations", json={"id": 5}).status_code == 400


def test_header_bombs(site: Served) -> None:
    for head in (b"X: " + b"a" * 200_000, b"".join(b"X%d: y\r\n" % number for number in range(20_000)), b"\x00\x01"):
        with socket.create_connection(("127.0.0.1", site.services.config.port), timeout=PATIENCE) as raw:
            raw.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
            try:
                raw.sendall(head + b"\r\n\r\n")
                answer = raw.makefile("rb").readline()
            except ConnectionError:
                answer = b""
        assert b" 400 " in answer or not answer
    assert get(f"{site.url}/health").status_code == 200


HOSTILE = [
    "'; DROP TABLE web_users; --",
    '" OR 1=1 --',
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("http://evil")',
    "\u202egnp.exe",
    "{{7*7}}{% raw %}",
    "a\nb\r\nSet-Cookie: x=y",
    "x" * 20_000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_texts(site: Served, admin: httpx.Client, text: str) -> None:
    id = f"hostile-{HOSTILE.index(text)}"
    assert admin.post("/api/conversations", json={"id": id, "title": text}).json()["title"] == text
    answer = admin.get(f"/api/conversations/{id}")
    assert answer.json()["title"] == text
    assert answer.headers["content-type"] == "application/json"
    for path in (f"/api/conversations/{id}x", "/api/runs/x"):
        assert admin.get(path, params={"q": text}).status_code == 400
    sign_in_with = post(f"{site.url}/api/login", json={"name": text, "password": text}, headers={"Origin": site.url})
    assert sign_in_with.status_code in (401, 429)
    assert admin.post("/api/accounts/invite", json={"name": text}).status_code == 400
    assert admin.post("/api/conversations", json={"id": text, "title": ""}).status_code == 400
    assert [account.name for account in site.services.accounts.all()] == ["ada", "lin"]


def test_guessing_passwords_is_slow(tmp_path: Path) -> None:
    limits = replace(LIMITS, login_failures=3)
    served, stop = start(ServerConfig(data=tmp_path, port=0, limits=limits), ServedModels([]))
    try:
        served.services.accounts.add("ada", "admin", PASSWORD)

        def attempt(password: str) -> int:
            body = {"name": "ada", "password": password}
            return post(f"{served.url}/api/login", json=body, headers={"Origin": served.url}).status_code

        assert [attempt("wrong password") for _ in range(4)] == [401, 401, 401, 429]
        assert attempt(PASSWORD) == 429
    finally:
        stop()


def test_the_brake_lets_go_after_its_time() -> None:
    brake = Brake(2, 10)
    brake.fail("a", now=0)
    brake.fail("a", now=5)
    assert brake.wait("a", "b", now=6) == pytest.approx(4)
    assert brake.wait("b", now=6) == 0
    assert brake.wait("a", now=10.1) == 0


def test_no_secret_is_logged_or_kept(site: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = site.services.token.value
    answer = get(f"{site.url}/login", params={"token": token})
    cookie = answer.headers["set-cookie"].split("=")[1].split(";")[0]
    post(f"{site.url}/api/login", json={"name": "ada", "password": "hunter2 hunter2"}, headers={"Origin": site.url})
    own = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    )
    folder = site.services.config.data
    kept = b"".join(path.read_bytes() for path in folder.glob("web.db*"))
    for secret in (token, cookie, PASSWORD, "hunter2 hunter2"):
        assert secret not in own
        assert secret.encode() not in kept
        assert json.dumps(secret)[1:-1].encode() not in kept
    assert any(entry.action == "sign-in refused" for entry in site.services.accounts.audit())


def test_invitations_are_good_once(site: Served, admin: httpx.Client) -> None:
    path = admin.post("/api/accounts/invite", json={"name": "wang", "role": "labeler"}).json()["path"]
    token = path.split("=")[1]
    with httpx.Client(base_url=site.url, headers={"Origin": site.url}, timeout=PATIENCE) as client:
        short = client.post("/api/join", json={"token": token, "password": "short"})
        assert short.status_code == 400
        assert client.post("/api/join", json={"token": token, "password": PASSWORD}).json()["role"] == "labeler"
        assert client.get("/api/session").json()["name"] == "wang"
        assert client.post("/api/join", json={"token": token, "password": PASSWORD}).status_code == 400
        assert admin.delete("/api/accounts/wang").status_code == 200
        assert client.get("/api/session").status_code == 401  # closed at once


def test_whoever_came_by_the_link_is_nobody_in_a_network(site: Served) -> None:
    secret = site.services.sessions.begin(Account(LOCAL, "admin"), "")
    assert site.services.sessions.find(secret, local=True) is not None
    assert site.services.sessions.find(secret, local=False) is None


def test_a_network_needs_accounts_and_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["serve", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path)]
    assert main(command) == 2
    assert "--api-key" in capsys.readouterr().err
    assert main([*command, "--api-key", "k"]) == 2
    assert "danlu users add" in capsys.readouterr().err


def test_users(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*words: str, password: str = PASSWORD) -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
        return main(["users", *words, "--data", str(tmp_path)])

    assert run("add", "ada", "--role", "admin") == 0
    assert run("add", "ada") == 2
    assert run("add", "lin", password="short") == 2
    assert run("add", "lin", "--role", "king") == 2
    capsys.readouterr()
    assert run("list") == 0
    assert capsys.readouterr().out == "ada  admin\n"
    assert run("password", "ada", password="another password") == 0
    accounts = Accounts(Database(ServerConfig(data=tmp_path).database_place))
    assert accounts.check("ada", "another password") is not None
    assert accounts.check("ada", PASSWORD) is None
    assert run("remove", "ada") == 0
    assert accounts.check("ada", "another password") is None


def test_passwords() -> None:
    stored = hash_password(PASSWORD)
    assert stored != hash_password(PASSWORD)
    assert password_matches(PASSWORD, stored)
    assert not password_matches(PASSWORD + " ", stored)


def test_the_strings_are_in_both_languages() -> None:
    english, chinese = (
        json.loads((FILES / "strings" / f"{language}.json").read_text(encoding="utf-8")) for language in ("en", "zh")
    )
    assert english.keys() == chinese.keys()
    assert all(english.values())
    assert all(chinese.values())


def test_what_is_translated_is_what_the_server_says() -> None:
    """Each refusal that the Chinese pages know is word for word in the code, with {} for what changes."""
    said = set()
    for path in Path(danlu.__file__).parent.glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                said.add("".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values))
    known = json.loads((FILES / "strings" / "refusals.zh.json").read_text(encoding="utf-8"))
    assert [words for words in known if words not in said] == []
    assert all(words.count("{}") == meant.count("{}") for words, meant in known.items())


def test_scripts_build_nodes_and_no_markup() -> None:
    for path in FILES.glob("**/*.js"):
        text = path.read_text(encoding="utf-8")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "srcdoc",
            "new Function",
        ):
            assert word not in text, (path.name, word)


def test_a_configuration_that_cannot_be() -> None:
    with pytest.raises(Exception, match="port 70000"):
        replace(ServerConfig(data=Path()), port=70000)
