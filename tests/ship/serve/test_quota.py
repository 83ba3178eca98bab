import pytest

from frostline.errors import PlanError
from frostline.ship.serve.quota import Limits, Quota, Refused


def test_limits_that_no_request_could_keep_are_refused() -> None:
    for impossible in ({"queue": 3, "max_files": 4}, {"max_bytes": 2 << 30}, {"max_pixels": 0}, {"patience": 0.0}):
        with pytest.raises(PlanError):
            Limits(**impossible)


def test_room_is_taken_bit_by_bit_and_given_back_at_the_end_whatever_happens() -> None:
    room = Quota(10, "pictures")
    with room.guest() as first:
        first.take(4)
        first.take(3)
        with room.guest() as second:
            with pytest.raises(Refused) as refused:
                second.take(4)
            second.take(3)
            assert room.taken == 10
        assert room.taken == 7
    assert room.taken == 0
    assert (refused.value.status, refused.value.retry) == (429, 1)
    with pytest.raises(Refused), room.guest() as guest:
        guest.take(11)
    assert room.taken == 0
