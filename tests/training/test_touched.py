from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from features.catalog import Item
from features.events import DAY_US
from features.ids import key64
from features.state_fields import SEEN_KEEP
from recommender.slate import SlateRequest
from tests.training.test_fitting import UNTIL, items_of, touches
from training.touched import Touched, leaving_out

UNSEEN = SlateRequest(unseen_only=True, exclude=("z",))
FULL = SimpleNamespace(seen=((0, 0, 0),) * SEEN_KEEP)
SOME = SimpleNamespace(seen=((0, 0, 0),) * (SEEN_KEEP - 1))


def test_what_a_customer_touched_before_a_moment():
    touched = Touched(touches((-1, 3, "views", 9), (0, 1, "views", 3), (0, 1, "buys", 2), (0, 2, "views", 1)))
    assert touched.before("c000", UNTIL).tolist() == [1, 2]
    assert touched.before("c000", UNTIL - DAY_US).tolist() == [1]
    assert touched.before("c000", UNTIL - 3 * DAY_US).tolist() == []
    assert touched.before("nobody", UNTIL).tolist() == []


def test_what_a_full_state_no_longer_holds_is_left_out():
    items = items_of(Item(item_id="a"), Item(item_id="b"))
    keys = np.array([key64("b"), key64("not for sale")], np.int64)
    assert leaving_out(UNSEEN, FULL, keys, items).exclude == ("z", "b")


def test_a_state_with_room_holds_everything_itself():
    items = items_of(Item(item_id="a"))
    keys = np.array([key64("a")], np.int64)
    assert leaving_out(UNSEEN, SOME, keys, items) is UNSEEN
    seen_too = SlateRequest()
    assert leaving_out(seen_too, FULL, keys, items) is seen_too
