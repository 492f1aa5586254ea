"""Who is let in, and how: sessions, forms, one-time links."""

import json
import re
from dataclasses import replace

import pytest
from fastapi.routing import APIRoute

from tests.triage.review.desks import PASSWORD
from tests.triage.web.house import House
from triage.review import Role
from triage.web.app import PARTS, create_app
from triage.web.sessions import COOKIE, VISIT, Seal, Session, new_session
from triage.web.throttle import Throttle

OPEN = {"/sign-in", "/sign-out", "/link/{link}"}


def closed_routes() -> list[tuple[str, str]]:
    """Method and path of every route that asks who is there, its parameters filled in."""
    filled = {"pseudonym": "bt-flagged2aa", "name": "image.nii.gz", "account": "1"}
    return [
        (method, re.sub(r"\{(\w+)\}", lambda found: filled[found[1]], route.path))
        for part in PARTS
        for route in part.router.routes
        if isinstance(route, APIRoute) and route.path not in OPEN
        for method in route.methods
    ]


def test_whom_the_site_does_not_know_it_shows_the_way_in_and_nothing_else(house: House, case: str) -> None:
    visitor = house.visitor()
    token = house.site.seal.token(new_session())

    answers = [
        visitor.client.request(method, path, data={"token": token, "item": 1}, follow_redirects=False)
        for method, path in closed_routes()
    ]

    assert len(answers) >= 12
    assert {answer.status_code for answer in answers} <= {303, 403, 422}
    assert all(answer.headers["location"].startswith("/sign-in") for answer in answers if answer.status_code == 303)
    assert not any(case in answer.text for answer in answers)


def test_a_form_that_the_session_s_own_page_did_not_make_changes_nothing(house: House, case: str) -> None:
    visitor = house.visitor("olga")
    forms = [path for method, path in closed_routes() if method == "POST"]
    before = house.room.events()

    answers = [visitor.client.post(path, data={"token": "x" * 27, "item": 1}) for path in forms]

    assert {answer.status_code for answer in answers} <= {403, 422}
    assert len(house.room.events()) == len(before)


def test_a_session_cannot_be_read_by_a_script_nor_sent_by_another_site(house: House) -> None:
    answer = house.visitor().see("/sign-in")

    flags = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")}
    assert {"httponly", "samesite=strict", "path=/"} <= flags
    assert "secure" not in flags


def test_over_tls_the_session_goes_over_tls_alone(house: House) -> None:
    house.app = create_app(replace(house.site, secure=True))

    answer = house.visitor().see("/sign-in")

    assert "; secure" in answer.headers["set-cookie"].lower()


def test_a_session_that_another_key_signed_is_nobody_s(house: House) -> None:
    visitor = house.visitor()
    rita = house.room.accounts.person(house.room.people["rita"])
    assert rita is not None
    visitor.client.cookies.set(COOKIE, Seal(b"x" * 32).cookie(new_session(rita.id, rita.session_epoch)))

    assert visitor.see("/").url.path == "/sign-in"
    assert visitor.send("/sign-in", {"name": "rita", "password": PASSWORD}, seen_on="/sign-in").url.path == "/"


def test_a_visit_that_comes_from_another_site_puts_nobody_out(house: House) -> None:
    visitor = house.visitor("rita")
    session = visitor.client.cookies[COOKIE]

    answer = visitor.client.get("/", cookies={COOKIE: "", VISIT: ""})  # browsers lend such a visit no cookie

    assert answer.url.path == "/sign-in"
    assert not any(COOKIE in step.headers.get("set-cookie", "") for step in (*answer.history, answer))
    assert house.site.seal.session(session) is not None


def test_the_session_changes_at_sign_in_so_that_nobody_can_prepare_one(house: House) -> None:
    visitor = house.visitor()
    visitor.see("/sign-in")
    before = house.site.seal.session(visitor.client.cookies[VISIT])

    visitor.send("/sign-in", {"name": "rita", "password": PASSWORD}, seen_on="/sign-in")

    after = house.site.seal.session(visitor.client.cookies[COOKIE])
    assert before is not None
    assert after is not None
    assert after.id != before.id


def test_a_closed_account_is_out_at_once(house: House) -> None:
    visitor = house.visitor("rita")
    house.room.accounts.change(
        house.room.people["rita"], role=Role.REVIEWER, active=False, by=house.room.people["olga"]
    )

    assert visitor.see("/").url.path == "/sign-in"


def test_who_signs_out_is_out_in_every_browser_also_with_a_cookie_that_was_kept(house: House) -> None:
    visitor, elsewhere, other = (house.visitor(name) for name in ("rita", "rita", "ruth"))
    cookie = visitor.client.cookies[COOKIE]

    visitor.send("/sign-out", {}, seen_on="/")
    visitor.client.cookies.set(COOKIE, cookie)

    assert [v.see("/").url.path for v in (visitor, elsewhere, other)] == ["/sign-in", "/sign-in", "/"]


def test_signing_out_is_an_audit_row_once_and_of_nobody_when_nobody_is_in(house: House) -> None:
    visitor = house.visitor("rita")
    cookie = visitor.client.cookies[COOKIE]
    for _ in range(2):
        visitor.client.cookies.set(COOKIE, cookie)
        session = house.site.seal.session(cookie)
        assert session is not None
        visitor.client.post("/sign-out", data={"token": house.site.seal.token(session)})

    rows = [json.loads(row) for row in house.room.events()]

    assert [row["actor"] for row in rows if row["event"] == "logged_out"] == ["rita"]


def test_a_wrong_password_says_no_more_than_that_the_two_do_not_belong_together(house: House) -> None:
    visitor = house.visitor()

    answers = [
        visitor.send("/sign-in", {"name": name, "password": "not the password"}, seen_on="/sign-in")
        for name in ("rita", "nobody")
    ]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert all("do not belong together" in answer.text for answer in answers)


def test_nobody_is_led_away_from_the_site_by_signing_in(house: House) -> None:
    visitor = house.visitor()
    elsewhere = (
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/cases/../accounts",
        "javascript:alert(1)",
    )

    pages = [visitor.client.get("/sign-in", params={"to": to}) for to in elsewhere]

    assert all('action="/sign-in?to=/"' in page.text for page in pages)


def test_who_wanted_a_case_gets_to_it_by_signing_in(house: House, case: str) -> None:
    visitor = house.visitor()
    page = visitor.see(f"/cases/{case}")

    answer = visitor.send(
        f"{page.url.path}?{page.url.query.decode()}", {"name": "rita", "password": PASSWORD}, seen_on=str(page.url)
    )

    assert answer.url.path == f"/cases/{case}"


def test_an_address_that_tries_too_often_must_wait(house: House) -> None:
    visitor = house.visitor()

    codes = [
        visitor.send("/sign-in", {"name": f"name{n}", "password": "x"}, seen_on="/sign-in").status_code
        for n in range(11)
    ]

    assert codes == [403] * 10 + [429]


def test_a_throttle_counts_each_key_by_itself_and_forgets_in_time() -> None:
    clock = iter([0.0, 1.0, 2.0, 2.0, 11.0])
    throttle = Throttle(tries=2, within_s=10, clock=lambda: next(clock))

    waits = [throttle.wait_s(key) for key in ("a", "a", "a", "b", "a")]

    assert waits == [0, 0, 8.0, 0, 0]


def test_a_one_time_link_gives_a_password_once(house: House) -> None:
    link = house.room.accounts.invite("rosa", Role.REVIEWER, by=house.room.people["olga"])
    visitor = house.visitor()
    fields = {"password": "a few words do well", "again": "a few words do well"}

    first = visitor.send(f"/link/{link}", fields, seen_on=f"/link/{link}")
    second = house.visitor().send(f"/link/{link}", fields, seen_on=f"/link/{link}")

    assert first.url.path == "/"
    assert "rosa" in first.text
    assert second.status_code == 422


@pytest.mark.parametrize("again", ["another few words do", "short"])
def test_a_password_is_typed_twice_and_long(again: str, house: House) -> None:
    link = house.room.accounts.invite("rosa", Role.REVIEWER, by=house.room.people["olga"])
    password = "short" if again == "short" else "a few words do well"

    answer = house.visitor().send(f"/link/{link}", {"password": password, "again": again}, seen_on=f"/link/{link}")

    assert answer.status_code == 422


def test_a_session_ends_after_a_working_day(monkeypatch: pytest.MonkeyPatch) -> None:
    seal = Seal(b"k" * 32)
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: 1_000_000.0)
    cookie = seal.cookie(Session(id="i", account=1, epoch=0))

    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: 1_000_000.0 + 10 * 3600 - 1)
    still = seal.session(cookie)
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: 1_000_000.0 + 10 * 3600 + 1)
    over = seal.session(cookie)

    assert still is not None
    assert over is None
