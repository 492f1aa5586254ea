"""Taking a case in hand, correcting it, deciding it: one reviewer, two at once, and two who must agree."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from httpx import Response

from tests.databases import Sqlite
from tests.triage.review.desks import Room
from tests.triage.web.house import House, Visitor
from triage.report.as_nifti import SEGMENTATION
from triage.review import connect


def act(visitor: Visitor, house: House, case: str, deed: str, **fields: str) -> Response:
    """Send one of the forms of a case."""
    content: Mapping[str, Any] = {"item": house.room.item(case), **fields}
    return visitor.send(f"/cases/{case}/{deed}", content, seen_on=f"/cases/{case}")


def corrected(house: House, case: str, *, extra: int = 5) -> bytes:
    """The model's labels with some voxels more of lesion."""
    image = nib.load(house.out / case / SEGMENTATION)
    labels = np.asarray(image.dataobj).copy()
    labels.ravel()[:extra] = 11
    return nib.Nifti1Image(labels, image.affine).to_bytes()


def keep(visitor: Visitor, house: House, case: str, data: bytes, name: str = "correction.nii") -> Response:
    fields = {"item": house.room.item(case)}
    return visitor.send(f"/cases/{case}/corrections", fields, seen_on=f"/cases/{case}", files={"file": (name, data)})


def test_a_case_that_is_taken_and_decided_leaves_the_queue(house: House, case: str) -> None:
    visitor = house.visitor("rita")

    act(visitor, house, case, "claim")
    after = act(visitor, house, case, "decide", verdict="accept", code="right")

    assert after.url.path == "/"
    assert f'Your verdict on <a href="/cases/{case}">' in after.text
    assert "No case waits for you." in after.text
    (reading,) = house.room.desk.readings()
    assert (reading.verdict, reading.code, reading.by) == ("accept", "right", "rita")


def test_of_two_who_want_one_case_the_second_is_told_who_has_it(house: House, case: str) -> None:
    rita, ruth = house.visitor("rita"), house.visitor("ruth")
    act(rita, house, case, "claim")

    taken = act(ruth, house, case, "claim")
    decided = act(ruth, house, case, "decide", verdict="accept", code="right")

    assert (taken.status_code, decided.status_code) == (409, 409)
    assert "rita has this case in hand" in taken.text
    assert house.room.desk.readings() == ()


def test_a_case_that_is_given_back_can_be_taken_by_another(house: House, case: str) -> None:
    rita, ruth = house.visitor("rita"), house.visitor("ruth")
    act(rita, house, case, "claim")

    act(rita, house, case, "release")

    assert act(ruth, house, case, "claim").status_code == 200


def test_an_open_page_holds_its_case(house: House, case: str) -> None:
    visitor = house.visitor("rita")
    act(visitor, house, case, "claim")
    house.room.clock.move(minutes=10)

    answer = act(visitor, house, case, "renew")
    house.room.clock.move(minutes=10)

    assert set(answer.json()) == {"until"}
    assert act(house.visitor("ruth"), house, case, "claim").status_code == 409


@pytest.mark.parametrize(
    ("verdict", "code"), [("accept", "failed"), ("reject", ""), ("maybe", "right"), ("correct", "boundary")]
)
def test_a_verdict_without_its_own_reason_or_its_correction_is_not_taken(
    verdict: str, code: str, house: House, case: str
) -> None:
    visitor = house.visitor("rita")
    act(visitor, house, case, "claim")

    answer = act(visitor, house, case, "decide", verdict=verdict, code=code)

    assert answer.status_code == 422
    assert house.room.desk.readings() == ()


def test_a_hostile_note_is_shown_as_text_to_reviewers_and_stands_in_no_audit_row(house: House, case: str) -> None:
    note = "<script>alert(1)</script>\u202e"
    visitor = house.visitor("rita")
    act(visitor, house, case, "claim")

    act(visitor, house, case, "decide", verdict="reject", code="other", note=note)

    text = house.visitor("ruth").see(f"/cases/{case}").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e" in text
    assert "<script>alert" not in text
    assert not any("alert" in row for row in house.room.events())


def test_an_uploaded_correction_goes_with_the_verdict(house: House, case: str) -> None:
    visitor = house.visitor("rita")
    act(visitor, house, case, "claim")

    page = keep(visitor, house, case, corrected(house, case))
    sha256 = page.url.params["correction"]
    act(visitor, house, case, "decide", verdict="correct", code="missed_lesion", correction=sha256)

    (reading,) = house.room.desk.readings()
    assert reading.correction is not None
    kept = nib.load(house.room.folder / reading.correction.path)
    original = nib.load(house.out / case / SEGMENTATION)
    assert np.asarray(kept.dataobj).ravel()[:5].tolist() == [11] * 5
    assert np.allclose(kept.affine, original.affine)
    assert sha256 in page.text


def test_a_painted_correction_is_answered_with_how_much_it_changes(house: House, case: str) -> None:
    visitor = house.visitor("rita")
    act(visitor, house, case, "claim")
    visitor.client.headers["Accept"] = "application/json"

    answer = keep(visitor, house, case, corrected(house, case, extra=5))

    voxel_ml = 1.0 * 1.0 * 1.2 / 1000
    assert answer.json()["voxels"] == 5
    assert answer.json()["ml"] == pytest.approx(5 * voxel_ml)


def test_nobody_can_keep_a_correction_for_a_case_that_another_has_in_hand(house: House, case: str) -> None:
    act(house.visitor("rita"), house, case, "claim")

    answer = keep(house.visitor("ruth"), house, case, corrected(house, case))

    assert answer.status_code == 409
    assert not house.room.folder.exists()


def test_a_case_that_was_decided_anew_meanwhile_is_not_decided_by_an_old_page(house: House, case: str) -> None:
    visitor = house.visitor("rita")
    act(visitor, house, case, "claim")
    old = house.room.item(case)
    house.room.flag(case, doubt=5.0)

    answer = visitor.send(
        f"/cases/{case}/decide", {"item": old, "verdict": "accept", "code": "right"}, seen_on=f"/cases/{case}"
    )

    assert answer.status_code == 409


def test_two_readers_who_differ_see_it_and_leave_it_to_a_third(sqlite: Sqlite, tmp_path: Path) -> None:
    engine = connect(sqlite.made())
    room = Room(engine, tmp_path / "corrections", double=True)
    room.add("rita", "ruth", "rosa")
    house = House(room=room, out=tmp_path / "out")
    case = house.arrives("bt-flagged2aa")
    for name, extra in (("rita", 400), ("ruth", 40000)):
        visitor = house.visitor(name)
        act(visitor, house, case, "claim")
        sha256 = keep(visitor, house, case, corrected(house, case, extra=extra)).url.params["correction"]
        after = act(visitor, house, case, "decide", verdict="correct", code="boundary", correction=sha256)

    third = house.visitor("rosa").see(f"/cases/{case}").text

    agreement = room.desk.agreement(room.item(case))
    assert agreement is not None
    assert f"<b>{agreement.mean_dice:.2f}</b>" in after.text
    assert f"kappa over voxels <b>{agreement.kappa:.2f}</b>" in third
    assert "rita" in third
    assert "Take this case" in third
    engine.dispose()


def test_every_act_is_an_audit_row_of_who_did_it(house: House, case: str) -> None:
    visitor = house.visitor("rita")
    before = len(house.room.events())

    act(visitor, house, case, "claim")
    keep(visitor, house, case, corrected(house, case))
    act(visitor, house, case, "release")

    rows = [json.loads(row) for row in house.room.events()[before:]]
    acts = [(row["actor"], row["event"]) for row in rows if row["event"] != "viewed"]
    assert acts == [("rita", "claimed"), ("rita", "correction_kept"), ("rita", "released")]
