"""A few rounds of the stress test; ``tox -e stress`` runs a thousand."""

from __future__ import annotations

from stress import rounds


def test_threads_that_import_in_any_order_never_get_a_native_client() -> None:
    assert list(rounds.failures(first_seed=0, rounds=8, jobs=2)) == []
