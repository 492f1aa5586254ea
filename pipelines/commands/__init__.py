"""The commands of `brain-triage`, by what they are about. Heavy imports stand inside them: `--help` loads no torch."""
