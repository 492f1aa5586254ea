"""The durable queue of cases that wait for a human, and the trail of everything that was decided."""

from triage.review.review_queue import AuditState, OpenItem, ReviewQueue, open_queue

__all__ = ["AuditState", "OpenItem", "ReviewQueue", "open_queue"]
