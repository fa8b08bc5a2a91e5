"""A vote."""


def majority(votes):
    """Who has more than half of the votes; None when nobody has."""
    candidate = None
    lead = 0
    for vote in votes:
        if lead == 0:
            candidate = vote
            lead = 1
        elif vote == candidate:
            lead += 1
        else:
            lead -= 1
    if candidate is not None and votes.count(candidate) * 2 > len(votes):
        return candidate
    return None
