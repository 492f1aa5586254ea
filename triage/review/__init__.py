"""The durable queue of cases that wait for a human, and the trail of everything that was decided."""

from triage.review.audit import Broken, verify
from triage.review.queue import OpenItem, ReviewQueue, open_queue

__all__ = ["Broken", "OpenItem", "ReviewQueue", "open_queue", "verify"]
