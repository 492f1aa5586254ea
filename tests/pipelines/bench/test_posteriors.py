"""The page of posteriors: a row each, and what is beyond chance."""

from pathlib import Path
from typing import Any

from pipelines.bench.posteriors import GAINS, write
from pipelines.compare import GRADED
from pipelines.posterior_table import COLUMNS


def row(gain: float = 0.0) -> dict[str, Any]:
    structure = {"dice": 0.9, "ece": 0.01, "ace": 0.01, "ece_band": 0.04, "ace_band": 0.04}
    return dict.fromkeys(COLUMNS, 0.5) | {
        "structures": dict.fromkeys(GRADED, structure),
        "gains": {key: [gain, gain - 0.01, gain + 0.01] for key in GAINS},
    }


def test_the_page_has_every_posterior_and_its_interval(tmp_path: Path) -> None:
    rows = {"point": row(), "laplace": row(-0.05), "hmc": row(0.05)}
    results = {"bundle": "b 1", "rows": rows, "manual": 2, "silver": 10, "damaged": 3}
    results |= {"convergence": "4 chains of 100 draws: all is well", "members": 2}
    results |= {"temperatures": {"point": 1.4}, "rivals": {"manual": row(-0.02)["gains"]}}

    text = write(results, tmp_path)

    assert all(text.count(f"| `{name}` |") >= 4 for name in rows)
    assert "4 chains of 100 draws: all is well." in text
    assert "`deep_ensemble`: 2 networks" in text
    assert "-0.0500 (-0.0600 to -0.0400)" in text
    assert "| manual | -0.0200 (-0.0300 to -0.0100) |" in text
    assert "1.40 for `point`" in text
    assert (tmp_path / "posteriors-gains.png").is_file()
