"""What a completion is and how one is obtained: routing, retry, breaker, deadline, fallback, streams.

Standard library only; clock, sleep and randomness are arguments.
"""
