"""What goes out: one format a file, and the table of them all.

A writer gets one report and an existing folder. `as_html.write_index` and `as_csv.write_cases_csv` show a whole run and
are made from what the writers left on disk, so a second run shows the cases that a first one decided.
"""

from collections.abc import Mapping

from triage.ports import Writer
from triage.report.as_dicom_seg import as_dicom_seg
from triage.report.as_figures import as_figures
from triage.report.as_json import as_json
from triage.report.as_nifti import as_nifti

WRITERS: Mapping[str, Writer] = {
    "json": as_json,
    "nifti": as_nifti,
    "figures": as_figures,
    "dicom_seg": as_dicom_seg,
}
