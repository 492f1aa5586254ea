"""What the queue, a case and the accounts show, and to whom."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from tests.builders import a_refused_input
from tests.triage.review.desks import ACCEPT
from tests.triage.web.house import House, a_small_report
from tests.verdicts import a_flagged_verdict, a_refused_verdict
from triage.anatomy import STRUCTURES
from triage.report.as_csv import CASES, MEASURED
from triage.review import Kind, Role
from triage.review.tables import ReviewItem
from triage.verdict import Route
from triage.web.app import create_app
from triage.web.throttle import Throttle
from triage.web.usual import FEWEST, usual_volumes

HOSTILE = '<img src=x onerror=alert(1)>"><script>alert(2)</script>\u202e{{7*7}}'
SHOWN = "&lt;img src=x onerror=alert(1)&gt;"


def order(text: str, *pseudonyms: str) -> Sequence[str]:
    return sorted(pseudonyms, key=text.index)


def test_the_queue_shows_the_most_doubtful_first_and_how_many_wait(house: House) -> None:
    for name, score in (("bt-little22aa", 1.2), ("bt-unknown2aa", math.nan), ("bt-much2222aa", 3.1)):
        house.arrives(name, verdict=a_flagged_verdict(score=score))

    text = house.visitor("rita").see("/").text

    assert order(text, "bt-little22aa", "bt-much2222aa", "bt-unknown2aa") == [
        "bt-unknown2aa",
        "bt-much2222aa",
        "bt-little22aa",
    ]
    assert '<span class="count">3</span>' in text


def test_the_queue_is_filtered_and_searched(house: House) -> None:
    house.arrives("bt-flagged2aa")
    house.room.queue.settle(
        replace(a_small_report(), case=a_refused_input("bt-refused2aa"), verdict=a_refused_verdict(a_refused_input()),
                volume=None, prediction=None)
    )  # fmt: skip
    visitor = house.visitor("rita")

    refused, searched, neither = (visitor.see(f"/?{q}").text for q in ("route=refused", "search=flagg", "search=zzz"))

    assert ("bt-refused2aa" in refused, "bt-flagged2aa" in refused) == (True, False)
    assert ("bt-refused2aa" in searched, "bt-flagged2aa" in searched) == (False, True)
    assert "No case matches" in neither


def test_a_queue_of_many_cases_is_walked_page_by_page(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.web.queue_page.ROWS", 1)
    house.arrives("bt-flagged2aa", verdict=a_flagged_verdict(score=3.0))
    house.arrives("bt-flagged2ab", verdict=a_flagged_verdict(score=2.0))
    visitor = house.visitor("rita")

    first = visitor.see("/").text
    second = visitor.see(first.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")).text

    assert ("bt-flagged2aa" in first, "bt-flagged2ab" in first) == (True, False)
    assert ("bt-flagged2aa" in second, "bt-flagged2ab" in second) == (False, True)


def test_hostile_texts_are_shown_as_text(house: House) -> None:
    verdict = a_flagged_verdict(action=HOSTILE)
    reasons = tuple(replace(reason, text=HOSTILE, action=HOSTILE) for reason in verdict.reasons)
    signals = tuple(replace(signal, title=HOSTILE) for signal in verdict.signals)
    case = house.arrives("bt-flagged2aa", verdict=replace(verdict, reasons=reasons, signals=signals))
    visitor = house.visitor("rita")

    pages = [visitor.see(path).text for path in ("/", f"/cases/{case}")]
    pages.append(visitor.client.get("/", params={"search": HOSTILE[:60]}).text)

    assert all(SHOWN in page for page in pages)
    assert not any("<img src=x" in page or "<script>alert" in page or "\u202e" in page for page in pages)


def test_a_case_shows_its_reasons_its_parts_its_places_and_its_volumes(house: House, case: str) -> None:
    text = house.visitor("rita").see(f"/cases/{case}").text

    verdict = a_small_report().verdict
    for reason in verdict.reasons:
        assert reason.text in text
    for signal in verdict.signals:
        assert signal.title in text
    assert verdict.interpretation is not None
    assert text.count("data-mm=") == len(verdict.interpretation.spots)
    for structure in STRUCTURES:
        assert structure.name in text
    assert "The anatomical prior lowered the mean entropy" in text


def test_a_case_drawn_for_quality_control_tells_nothing_of_what_the_gate_decided(house: House, case: str) -> None:
    with house.room.engine.begin() as connection:
        connection.execute(ReviewItem.__table__.update().values(kind=Kind.BLIND.value, reason="As many others."))

    text = house.visitor("rita").see(f"/cases/{case}").text

    verdict = a_small_report().verdict
    assert "As many others." in text
    assert not any(told in text for told in (verdict.action, "limit", "score", *(r.text for r in verdict.reasons)))


def test_a_case_whose_files_are_gone_or_of_another_decision_is_shown_without_them(house: House, case: str) -> None:
    report = house.out / case / "report.json"
    document = json.loads(report.read_text())
    document["case"]["content_sha256"] = "0" * 64
    visitor = house.visitor("rita")

    report.write_text(json.dumps(document))
    of_another = visitor.see(f"/cases/{case}")
    report.unlink()
    gone = visitor.see(f"/cases/{case}")

    for answer in (of_another, gone):
        assert answer.status_code == 200
        assert "do not lie in the output folder" in answer.text
        assert "Take this case" in answer.text


def views(house: House) -> list[tuple[str, str, str | None]]:
    """Who saw what of which case, by the audit."""
    rows = [json.loads(row) for row in house.room.events()]
    return [(row["actor"], row["what"], row["pseudonym"]) for row in rows if row["event"] == "viewed"]


def test_every_view_is_an_audit_row(house: House, case: str) -> None:
    visitor = house.visitor("olga")
    before = len(views(house))

    for path in ("/", f"/cases/{case}", f"/cases/{case}/volumes/entropy.nii.gz", f"/cases/{case}/archive.zip"):
        assert visitor.see(path).status_code == 200
    assert visitor.see("/accounts").status_code == 200

    of_the_case = [("olga", what, case) for what in ("case", "entropy.nii.gz", "archive.zip")]
    assert views(house)[before:] == [("olga", "queue", None), *of_the_case, ("olga", "accounts", None)]


def test_the_pictures_of_a_case_are_one_view_of_each_who_looks_within_a_minute(house: House) -> None:
    at = 0.0
    house.site = replace(house.site, pictures=Throttle(tries=1, within_s=60, clock=lambda: at))
    house.app = create_app(house.site)
    cases = [house.arrives(name, writers=("json", "figures")) for name in ("bt-flagged2aa", "bt-flagged2ab")]
    rita, ruth = house.visitor("rita"), house.visitor("ruth")
    before = len(views(house))

    for case in cases:
        for name in ("axial_image.png", "coronal_image.png"):
            assert rita.see(f"/cases/{case}/figures/{name}").status_code == 200
    ruth.see(f"/cases/{cases[0]}/figures/axial_image.png")
    at = 61.0
    rita.see(f"/cases/{cases[0]}/figures/axial_image.png")

    seen = (("rita", cases[0]), ("rita", cases[1]), ("ruth", cases[0]), ("rita", cases[0]))
    assert views(house)[before:] == [(who, "figures", case) for who, case in seen]


def test_the_download_holds_what_an_editor_needs_and_neither_patient_nor_verdict(house: House, case: str) -> None:
    (house.out / case / "segmentation.dcm").write_bytes(b"names the patient")

    archive = ZipFile(io.BytesIO(house.visitor("rita").see(f"/cases/{case}/archive.zip").content))

    names = {"image.nii.gz", "segmentation.nii.gz", "entropy.nii.gz", "conflict.nii.gz", "labels.txt"}
    assert set(archive.namelist()) == {f"{case}/{name}" for name in names}
    labels = archive.read(f"{case}/labels.txt").decode()
    assert all(f'"{structure.name}"' in labels for structure in STRUCTURES)


def test_an_operator_looks_and_is_not_asked_to_decide(house: House, case: str) -> None:
    house.room.add("otto", role=Role.OPERATOR)

    text = house.visitor("otto").see(f"/cases/{case}").text

    assert "Your account may look, not decide." in text
    assert "/claim" not in text


def accepted_table(folder: Path, grey_ml: Sequence[float]) -> Path:
    path = folder / CASES
    columns = [key if key == "brain_parenchymal_fraction" else f"{key}_ml" for key in MEASURED]
    rows = [["accepted", *([ml] * len(columns))] for ml in grey_ml] + [["human_review", *([1e6] * len(columns))]]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["route", *columns], *rows])
    return path


def test_what_is_usual_is_the_range_of_the_accepted_cases_alone(tmp_path: Path) -> None:
    ml = np.arange(1.0, 102.0)

    usual = usual_volumes(accepted_table(tmp_path, list(ml)))

    grey = usual["cortical_grey"]
    assert (grey.low, grey.median, grey.high) == (6.0, 51.0, 96.0)
    assert set(usual) == set(MEASURED)


def test_few_accepted_cases_say_nothing_of_what_is_usual(tmp_path: Path) -> None:
    assert usual_volumes(accepted_table(tmp_path, [500.0] * (FEWEST - 1))) == {}


def test_a_volume_that_stands_out_is_marked(house: House, case: str) -> None:
    accepted_table(house.out, list(np.linspace(1.0, 2.0, FEWEST)))

    text = house.visitor("rita").see(f"/cases/{case}").text

    assert text.count('<tr class="over"><th scope="row">Cortical grey matter') == 1


def test_an_owner_invites_changes_and_resets_accounts(house: House) -> None:
    visitor = house.visitor("olga")

    invited = visitor.send("/accounts", {"name": " Rosa ", "role": "reviewer"}, seen_on="/accounts")
    visitor.send(f"/accounts/{house.room.people['rita']}", {"role": "operator"}, seen_on="/accounts")
    reset = visitor.send(f"/accounts/{house.room.people['ruth']}/link", {}, seen_on="/accounts")

    people = {person.name: person for person in house.room.accounts.people()}
    assert "http://testserver/link/" in invited.text
    assert "http://testserver/link/" in reset.text
    assert people["rosa"].role is Role.REVIEWER
    assert (people["rita"].role, people["rita"].active) == (Role.OPERATOR, False)


def test_nobody_but_an_owner_sees_the_accounts(house: House) -> None:
    assert house.visitor("rita").see("/accounts").status_code == 403


def test_a_decided_case_can_still_be_looked_at(house: House, case: str) -> None:
    house.room.read(house.room.item(case), "ruth", ACCEPT)

    text = house.visitor("rita").see(f"/cases/{case}").text

    assert "does not wait any more" in text
    assert "The segmentation is right." in text
    assert Route.ACCEPTED not in text.partition('id="verdict"')[2].partition("</section>")[0]
