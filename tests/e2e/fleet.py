"""What tests of a fleet under faults share: the server's own log of stamped arrivals against the ledger."""

import collections


def check_stamps(case, report, arrivals):
    """No arrival twice; and stamped ⊇ sent, ⊆ sent ∪ unreported, by count: the agents' own records of a
    killed process are gone, but what it reported was sent, and what it may have sent is unreported."""
    ledger = report["ledger"]
    seen = collections.Counter(arrival.stamp for arrival in arrivals)
    case.assertEqual([stamp for stamp, n in seen.items() if n > 1][:5], [], "sent twice")
    prefix = report["run"]["id"] + "/"
    case.assertTrue(all(stamp.startswith(prefix) for stamp in seen), "a stamp of another run")
    # A failure before the request's last byte is one that the server need not have seen.
    case.assertLessEqual(ledger["sent"] - ledger["failed"], len(seen))
    case.assertLessEqual(len(seen), ledger["sent"] + ledger["unreported"])
