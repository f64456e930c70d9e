"""What is worth telling, to whom, once: alerts are derived from rows, queued with them, and delivered by a sweep."""
