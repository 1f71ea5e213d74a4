"""Ten thousand claims of devices, and kills: no slot is held twice, none is lost."""

from support.lease_trial import trial


def test_thousands_of_claims_and_kills(tmp_path):
    found = trial(tmp_path, 10_000)
    assert found["claims"] >= 10_000 and found["kills"] > 10
    assert found["killed_as_holders"] > 0
    assert (found["violations"], found["failed"], found["free_afterwards"]) == (0, 0, 8)
