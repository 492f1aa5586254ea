"""What holds for every answer: the headers, the limits, and that nothing inline could run."""

import re
from pathlib import Path

import pytest

from tests.triage.web.house import House
from triage.web.middleware import FORM_BYTES, HEADERS, POLICY, UPLOAD_BYTES

WEB = Path("triage/web")


def test_every_answer_shuts_the_doors(house: House) -> None:
    visitor = house.visitor("rita")

    answers = [
        visitor.see(path) for path in ("/", "/sign-in", "/nowhere", "/cases/bt-aaaaaaaaaa", "/static/review.css")
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 404, 404, 200]
    assert all({name: answer.headers[name] for name in HEADERS} == HEADERS for answer in answers)


def test_no_page_may_run_or_style_anything_inline(repository: Path) -> None:
    assert "unsafe" not in POLICY
    inline = re.compile(r"""<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:""")

    found = [(p.name, inline.findall(p.read_text())) for p in (repository / WEB / "templates").glob("*.html")]

    assert [hit for hit in found if hit[1]] == []


def test_no_page_asks_another_machine_for_anything(repository: Path) -> None:
    own = [p for p in (repository / WEB).rglob("*") if p.suffix in {".html", ".js", ".css"} and "vendor" not in p.parts]

    assert [p.name for p in own if re.search(r"https?://|//[a-z0-9]+\.[a-z]{2,}", p.read_text())] == []


def test_pages_and_volumes_are_kept_by_no_browser(house: House, case: str) -> None:
    visitor = house.visitor("rita")

    answers = [visitor.see(path) for path in ("/", f"/cases/{case}", f"/cases/{case}/volumes/image.nii.gz")]

    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


@pytest.mark.parametrize(
    ("path", "length"), [("/sign-in", FORM_BYTES + 1), ("/cases/bt-aaaaaaaaaa/corrections", UPLOAD_BYTES + 1)]
)
def test_a_body_that_is_too_large_is_not_read(path: str, length: int, house: House) -> None:
    answer = house.visitor().client.post(path, content=b"x", headers={"Content-Length": str(length)})

    assert answer.status_code == 413


def test_a_file_that_is_too_large_is_answered_with_what_to_do_as_a_page_and_as_json(house: House) -> None:
    visitor = house.visitor("rita")
    path, headers = "/cases/bt-aaaaaaaaaa/corrections", {"Content-Length": str(UPLOAD_BYTES + 1)}

    page = visitor.client.post(path, content=b"x", headers=headers)
    answer = visitor.client.post(path, content=b"x", headers={**headers, "Accept": "application/json"})

    told = answer.json()
    assert "larger than 128 MB" in told["message"]
    assert ".nii.gz" in told["do"]
    assert f"<h1>{told['message']}</h1>" in page.text
    assert told["do"] in page.text


def test_a_volume_of_256_cubed_in_float64_may_be_uploaded_uncompressed() -> None:
    volume = 256**3 * 8 + 352

    assert volume < UPLOAD_BYTES - 4096 < 1.01 * volume


def test_a_body_of_unknown_size_is_not_read(house: House) -> None:
    answer = house.visitor().client.post("/sign-in", content=iter([b"name=rita"]))

    assert answer.status_code == 413


def test_what_fails_on_our_side_is_told_to_the_log_and_not_to_the_visitor(
    house: House, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = house.visitor("rita")
    failure = RuntimeError("the patient is Jane Doe")

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(house.room.desk.__class__, "case", fail)
    answer = visitor.see(f"/cases/{case}")

    assert answer.status_code == 500
    assert "Jane Doe" not in answer.text
    assert house.complaints == [failure]


def test_only_a_whole_pseudonym_names_a_case(house: House) -> None:
    visitor = house.visitor("rita")
    names = (
        "%2e%2e",
        "bt-aaaaaaaaa",
        "bt-AAAAAAAAAA",
        "bt-aaaaaaaaa1",
        "bt-aaaaaaaaaa%0A",
        "bt-aaaaaaaaaa%2F..",
        "%2e%2e%2freview.db",
    )
    rests = ("", "/volumes/image.nii.gz", "/figures/axial_image.png", "/archive.zip")

    answers = {f"{name}{rest}": visitor.see(f"/cases/{name}{rest}").status_code for name in names for rest in rests}

    assert {path: status for path, status in answers.items() if status != 404} == {}


def test_only_pictures_and_the_four_volumes_are_handed_out(house: House, case: str) -> None:
    visitor = house.visitor("rita")
    (house.out / case / "segmentation.dcm").write_bytes(b"names the patient")
    names = ("..%2f..%2freview.db", "segmentation.dcm", "manifest.json", "report.json", "..%2freport.json")

    answers = {
        f"{folder}/{name}": visitor.see(f"/cases/{case}/{folder}/{name}").status_code
        for folder in ("volumes", "figures")
        for name in names
    }

    assert {path: status for path, status in answers.items() if status != 404} == {}
