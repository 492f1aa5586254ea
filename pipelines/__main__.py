"""`python -m pipelines` is the command `brain-triage`."""

import sys

from pipelines.cli import main

sys.exit(main())
