"""The page of a run holds everything, asks for nothing, and shows every text as text."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.builders import a_case, a_prediction, a_refused_input, finding_samples
from tests.triage.report.run_folders import a_run, fill
from tests.triage.wcag import contrast
from tests.verdicts import a_flagged_report, a_flagged_verdict, a_place, a_refused_report, an_accepted_report
from triage import NOT_FOR_CLINICAL_USE
from triage.findings import FINDINGS
from triage.report.as_figures import FIGURES
from triage.report.as_html import CONTENT_SECURITY_POLICY, INDEX, duration, write_index
from triage.report.panels import side_mm
from triage.report.text import measured, number, percent


def page(out: Path, **facts: object) -> str:
    write_index(a_run(out, **facts), out / INDEX)
    return (out / INDEX).read_text(encoding="utf-8")


def test_an_empty_run_has_a_page_that_says_so(tmp_path: Path) -> None:
    html = page(tmp_path, skipped={})

    assert "No case was flagged" in html
    assert "No case was accepted" in html
    assert "No input was refused" in html


def test_the_page_names_the_limits_of_use_the_bundle_the_promise_and_its_policy(tmp_path: Path) -> None:
    run = a_run(tmp_path)

    html = page(tmp_path)

    assert html.count(NOT_FOR_CLINICAL_USE) >= 2
    assert run.bundle.digest in html
    assert run.promise in html
    assert CONTENT_SECURITY_POLICY.replace("'", "&#39;") in html


def test_the_page_refers_to_nothing_outside_itself_and_runs_no_script(tmp_path: Path) -> None:
    html = page(fill(tmp_path, [an_accepted_report(), a_flagged_report(), a_refused_report()], figures=True))

    references = re.findall(r"""(?:href|src|srcset|url|action)\s*[=(]\s*["']?([^"')\s>]+)""", html)
    assert references
    assert [r for r in references if not r.startswith(("#", "data:"))] == []
    assert "<script" not in html
    assert re.findall(r"\son\w+=", html) == []


def test_every_case_is_on_the_page_flagged_first_by_doubt_then_accepted_then_refused(tmp_path: Path) -> None:
    doubtful = a_flagged_verdict(score=2.0)
    fill(
        tmp_path,
        [
            an_accepted_report(a_case("case-calm")),
            a_flagged_report(a_case("case-mild")),
            a_flagged_report(a_case("case-wild"), verdict=doubtful),
            a_refused_report(a_refused_input("case-torn")),
        ],
    )

    html = page(tmp_path)

    order = ["case-wild", "case-mild", "case-calm", "case-torn"]
    assert sorted(order, key=html.index) == order


def test_the_parts_of_the_score_and_their_sum_stand_on_the_page(tmp_path: Path) -> None:
    verdict = a_flagged_verdict()

    html = page(fill(tmp_path, [a_flagged_report(verdict=verdict)]))

    table = html[html.index('<table class="parts">') : html.index("</table>", html.index('<table class="parts">'))]
    cells = [float(c) for c in re.findall(r'<td class="n">([\d.]+)</td>', table)]
    parts, total = cells[2:-2:3], cells[-1]
    assert math.fsum(parts) == pytest.approx(total, abs=5e-4 * len(parts))
    assert total == pytest.approx(verdict.score, abs=5e-4)
    assert "Not explained by a signal" not in html


def test_a_flagged_case_shows_the_probability_of_every_pattern_and_that_it_is_no_diagnosis(tmp_path: Path) -> None:
    report = a_flagged_report(prediction=a_prediction(finding_samples=finding_samples("focal")))

    html = page(fill(tmp_path, [report]))

    assert "research use, no diagnosis" in html
    assert html.count('class="meter"') == len(FINDINGS)
    assert re.search(r'class="most"><span>Focal mass or stroke</span>', html)


def test_an_accepted_case_that_does_not_look_normal_says_so(tmp_path: Path) -> None:
    looks = {"case-a": "normal", "case-b": "atrophy"}
    reports = [
        an_accepted_report(a_case(name), prediction=a_prediction(finding_samples=finding_samples(key)))
        for name, key in looks.items()
    ]

    html = page(fill(tmp_path, reports))

    assert "1 accepted case looks most like something other than normal: case-b." in html
    assert html.count('class="noted"') == 1


def test_without_a_classifier_the_page_names_no_pattern(tmp_path: Path) -> None:
    nothing = a_prediction(finding_samples=np.zeros((0, len(FINDINGS))))

    html = page(fill(tmp_path, [an_accepted_report(prediction=nothing), a_flagged_report(prediction=nothing)]))

    assert "not told" in html
    assert 'class="meter"' not in html


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(0.001, "<1 %"), (0.01, "1 %"), (0.5, "50 %"), (0.99, "99 %"), (0.996, ">99 %"), (math.nan, "not a number")],
)
def test_no_pattern_is_shown_as_certain(probability: float, shown: str) -> None:
    assert percent(probability).replace("\N{NO-BREAK SPACE}", " ") == shown


def test_a_score_that_its_parts_do_not_explain_is_shown_as_such(tmp_path: Path) -> None:
    html = page(fill(tmp_path, [a_flagged_report(verdict=a_flagged_verdict(score=math.nan))]))

    assert "Not explained by a signal" in html
    assert "not a number" in html


def test_a_case_that_another_bundle_decided_says_so(tmp_path: Path) -> None:
    report = an_accepted_report()
    other = replace(report.bundle, digest="ab" * 32)
    fill(tmp_path, [replace(report, bundle=other)])

    assert "decided by bundle abababab" in page(tmp_path)


def test_a_folder_that_cannot_be_read_is_an_alarm_on_the_page(tmp_path: Path) -> None:
    fill(tmp_path, [an_accepted_report()])
    (tmp_path / "case-broken").mkdir()
    (tmp_path / "case-broken" / "report.json").write_text("{")

    html = page(tmp_path)

    assert 'role="alert"' in html
    assert "case-broken" in html


def test_a_run_that_was_stopped_says_that_cases_are_missing(tmp_path: Path) -> None:
    assert "stopped before its end" in page(tmp_path, cut_short=True)
    assert "stopped before its end" not in page(tmp_path)


def test_a_broken_picture_costs_its_own_case_the_picture_and_no_other(tmp_path: Path) -> None:
    fill(tmp_path, [a_flagged_report(a_case("case-a")), a_flagged_report(a_case("case-b"))], figures=True)
    (tmp_path / "case-a" / FIGURES / "axial_image.png").write_bytes(b"\x89PNG broken")

    html = page(tmp_path)

    assert html.count("There is no picture of this case.") == 1
    assert html.count("<use ") == 6 + 2  # two layers in each of three views, and the spot that lies in the axial one


def test_each_picture_is_held_once_and_a_flagged_case_stays_under_250_kb(tmp_path: Path) -> None:
    empty = len(page(tmp_path))
    fill(tmp_path, [a_flagged_report()], figures=True)

    html = page(tmp_path)

    images = re.findall(r"data:image/png;base64,[\w+/=]+", html)
    assert len(images) == len(set(images)) == 9 + 2  # the second spot has a slice of its own
    assert len(html) - empty < 250_000


def test_hostile_text_is_escaped_and_what_acts_is_made_visible(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>{{7*7}}\u202eevil\x1b[31m"
    verdict = a_flagged_verdict(action=hostile, place=replace(a_place(), structure=hostile))
    refused = a_refused_input(message=hostile, do=hostile)
    fill(tmp_path, [a_flagged_report(verdict=verdict), a_refused_report(refused)])

    html = page(tmp_path, promise=hostile, skipped={hostile: 1}, settings={hostile: hostile})

    assert "<script" not in html
    assert "49" not in re.findall(r"script&gt;(\S*?)\\u202e", html)
    assert "{{7*7}}\\u202eevil\\x1b[31m" in html
    assert "\u202e" not in html
    assert "\x1b" not in html


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ink", ["ink", "quiet", "link", "flagged", "accepted", "refused", "alarm"])
@pytest.mark.parametrize("ground", ["page", "card"])
def test_every_ink_is_readable_on_every_ground(ink: str, ground: str, scheme: str, repository: Path) -> None:
    css = (repository / "triage/report/templates/index.css").read_text()
    light, dark, *_ = (dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in css.split(":root")[1:])
    colours = light if scheme == "light" else light | dark

    assert contrast(colours[ink], colours[ground]) >= 4.5


@pytest.mark.parametrize("soft", ["flagged", "alarm"])
def test_the_ink_of_a_callout_is_readable_on_it(soft: str, repository: Path) -> None:
    css = (repository / "triage/report/templates/index.css").read_text()
    for block in css.split(":root")[1:3]:
        colours = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        assert contrast(colours[soft], colours[f"{soft}-soft"]) >= 4.5
        assert contrast(colours["ink"], colours[f"{soft}-soft"]) >= 4.5


def test_numbers_are_written_as_readers_expect() -> None:
    assert number(-1.5, 1) == "\N{MINUS SIGN}1.5"
    assert number(math.nan) == "not a number"
    assert [measured(v, "ml") for v in (684.51, 4.467, 0.0)] == ["684.5", "4.47", "0"]
    assert measured(0.8384, "1") == "0.838"
    assert [duration(s) for s in (8.25, 143.2, math.nan)] == ["8.2 s", "2 min 23 s", "unknown"]
    assert [side_mm(axis, mm) for axis, mm in enumerate((-12.4, 3.0, -7.6))] == ["L 12 mm", "A 3 mm", "I 8 mm"]
