from __future__ import annotations

import numpy as np
import pytest

from training.kinds import _row, kind_rows


def test_a_kinds_row_tells_the_mean_chance_and_the_share_that_was_touched():
    shown = np.array([[0.0, 1], [0.0, 0], [np.log(3), 1], [np.log(3), 1]])
    row = _row("product", shown)
    assert (row.n, row.predicted, row.observed) == (4, pytest.approx((0.5 + 0.75) / 2), 0.75)
    assert sum(one.n for one in row.bins) == 4
    assert [one.predicted for one in row.bins] == sorted(one.predicted for one in row.bins)


def test_a_model_of_a_real_shop_tells_its_scale_by_kind_or_that_it_has_none(published):
    fitted = published.fitted
    assert bool(fitted.kinds) == fitted.engine.scale.is_calibrated
    assert all(row.n == sum(one.n for one in row.bins) > 0 for row in fitted.kinds)


def test_scores_that_are_no_log_odds_are_not_judged_as_such(published):
    engine = published.fitted.engine
    assert kind_rows(engine.with_blend(engine.blend), None) == ()
