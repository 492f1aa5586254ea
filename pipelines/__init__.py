"""The joins: the only place that sees both the domain and the models."""
