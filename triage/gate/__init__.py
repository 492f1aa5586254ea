"""The gate: signals of doubt, the limits that belong to a bundle, and the decision."""
