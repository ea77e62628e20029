"""Traffic tokens: when to renew one, what may be sent, and the way there.

``state`` decides and ``reply`` judges, both without I/O; ``shells`` are the thread-safe sync and
async hulls that do what was decided. Nothing here knows the SDK.
"""
