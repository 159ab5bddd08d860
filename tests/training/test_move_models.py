"""The parts that a model of a move is made of: stumps, calibration, BG/NBD."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from recommender.move_features import MOVE_FEATURES, REASON_OF, Alive, value_of_nobody
from training.fitting.bgnbd import Histories, expected_purchases, fit_bgnbd, log_likelihoods, p_alive
from training.fitting.calibrate import fit_line
from training.fitting.move_models import Slice, Target, fit_move
from training.fitting.stumps import TOP, additive_of, fit_stumps

WEEK_DAYS = 7
CALIBRATION_END = np.datetime64("1997-09-30")


def split_on(feature, threshold, left, right):
    tree = {"split_feature": feature, "threshold": threshold}
    return {"tree_structure": tree | {"left_child": {"leaf_value": left}, "right_child": {"leaf_value": right}}}


def test_trees_of_one_split_add_up_to_one_shape_a_feature():
    trees = [split_on(0, 2.0, 1.0, 3.0), split_on(0, 1.0, 0.5, 0.0), split_on(3, 5.0, -1.0, 1.0)]
    additive = additive_of([*trees, {"tree_structure": {"leaf_value": 0.25}}])
    assert additive.base == 1.0 + 0.5 - 1.0 + 0.25
    assert additive.shapes[0].upper.tolist() == [1.0, 2.0, TOP]
    assert additive.shapes[0].value.tolist() == [0.0, -0.5, 1.5]
    x = np.array([[1.0, 9, 9, 5.0], [1.5, 9, 9, 6.0], [2.5, 9, 9, 0.0]])
    assert additive(x).tolist() == [0.75, 0.75 - 0.5 + 2.0, 0.75 + 1.5]


def made_up(n, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return x, rng.random(n) < expit(1.5 * x[:, 0] - 1.0 * (x[:, 1] > 0.5) - 0.5)


def test_shapes_find_the_truth_and_keep_to_their_signs():
    (x, y), later = made_up(6_000, 0), made_up(3_000, 1)
    additive = fit_stumps(x, y, later, [1, 1, 0], seed=0)
    assert (np.diff(additive.shapes[0].value) >= 0).all()
    assert 1 not in additive.shapes or (np.diff(additive.shapes[1].value) >= 0).all()
    free = fit_stumps(x, y, later, [0, 0, 0], seed=0)
    truth = 1.5 * later[0][:, 0] - 1.0 * (later[0][:, 1] > 0.5) - 0.5
    assert np.corrcoef(free(later[0]), truth)[0, 1] > 0.97
    again = fit_stumps(x, y, later, [0, 0, 0], seed=0)
    assert free(x).tobytes() == again(x).tobytes()


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, -1.0), (2.0, 0.3)])
def test_a_line_is_found_again_within_its_interval(slope, intercept):
    rng = np.random.default_rng(0)
    logit = rng.normal(size=20_000)
    line = fit_line(logit, rng.random(20_000) < expit(slope * logit + intercept))
    low, high = line.slope_interval
    assert low < slope < high
    assert line.intercept == pytest.approx(intercept, abs=0.06)


def test_a_slope_by_hand():
    # Of 4 at logit -1 one happened, of 4 at +1 three: the log odds are -ln 3 and ln 3.
    logit = np.repeat([-1.0, 1.0], 4)
    line = fit_line(logit, np.array([1, 0, 0, 0, 1, 1, 1, 0], np.bool_))
    assert line.slope == pytest.approx(np.log(3), abs=1e-4)
    assert line.intercept == pytest.approx(0, abs=1e-6)
    # Information of the slope: 8 rows of 3/16 each.
    assert line.slope_se == pytest.approx((8 * 3 / 16) ** -0.5, rel=1e-3)


def test_little_data_leaves_a_slope_near_one():
    line = fit_line(np.array([-3.0, 3.0]), np.array([False, True]), prior_sd=0.1)
    assert line.slope == pytest.approx(1.0, abs=0.05)


@st.composite
def slices(draw):
    rng = np.random.default_rng(draw(st.integers(0, 1_000)))
    x = np.zeros((3_000, len(MOVE_FEATURES)))
    for column, name in enumerate(MOVE_FEATURES):
        x[:, column] = rng.poisson(1.0, len(x)) if value_of_nobody(name) == 0 else rng.uniform(0, 400, len(x))
    cart, silence = MOVE_FEATURES.index("n_cart"), MOVE_FEATURES.index("last_touch_age_days")
    y = rng.random(len(x)) < expit(x[:, cart] - x[:, silence] / 100 - 0.5)
    return x, y


@given(slices())
def test_a_model_keeps_its_signs_and_measures_deeds_from_nobody(drawn):
    x, y = drawn
    target = Target("first_order", "engagement", 7, "order", is_absence=False)
    model = fit_move(target, Slice(x[:2_000], y[:2_000]), Slice(x[2_000:], y[2_000:]), seed=0)
    assert model is not None
    terms = {term.feature: term for term in model.terms}
    assert {"n_cart", "last_touch_age_days"} <= set(terms)
    assert terms["n_cart"].value == sorted(terms["n_cart"].value)
    for name, term in terms.items():
        start = term.of_many(np.array([0.0 if REASON_OF[name].code == "silence" else value_of_nobody(name)]))
        assert REASON_OF[name].code == "clock" or start[0] == 0.0
    fitted = model.logits(x[2_000:])
    assert np.mean(expit(fitted)) == pytest.approx(np.mean(y[2_000:]), abs=0.01)


def test_who_is_silent_for_longer_than_anybody_before_counts_as_that():
    """The order rate goes on beyond where cases were seen, as a line in its logarithm."""
    rng = np.random.default_rng(0)
    x = np.zeros((6_000, len(MOVE_FEATURES)))
    rate = MOVE_FEATURES.index("order_rate")
    x[:, rate] = np.exp(rng.uniform(np.log(0.02), np.log(3.0), len(x)))
    y = rng.random(len(x)) < expit(-1 + 1.2 * np.log(x[:, rate]))
    target = Target("next_order", "retention", 30, "order", is_absence=False)
    model = fit_move(target, Slice(x[:4_000], y[:4_000]), Slice(x[4_000:], y[4_000:]), seed=0)
    longer = np.zeros((2, len(MOVE_FEATURES)))
    longer[:, rate] = 0.02, 0.002
    seen, unseen = model.logits(longer)
    assert unseen < seen - 1.0
    assert unseen == pytest.approx(-1 + 1.2 * np.log(0.002), abs=1.0)


def test_noise_gives_no_model_or_one_that_hardly_moves():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 5, (4_000, len(MOVE_FEATURES))), rng.random(4_000) < 0.3
    target = Target("lapse", "retention", 30, "touch", is_absence=True)
    model = fit_move(target, Slice(x[:2_000], y[:2_000]), Slice(x[2_000:], y[2_000:]), seed=0)
    assert model is None or np.std(model.logits(x)) < 0.2


def simulated(parameters, n, seed):
    """Customers who buy and drop out as the model says, watched for 400 days."""
    rng = np.random.default_rng(seed)
    rows = []
    for rate, drop in zip(
        rng.gamma(parameters.r, 1 / parameters.alpha, n), rng.beta(parameters.a, parameters.b, n), strict=True
    ):
        at, x, last = rng.exponential(1 / rate), 0, 0.0
        while at < 400:
            x, last = x + 1, at
            if rng.random() < drop:
                break
            at += rng.exponential(1 / rate)
        rows.append((x, last, 400.0))
    return Histories(*np.array(rows, float).T)


def test_parameters_are_found_again():
    truth = Alive(0.8, 40.0, 0.9, 3.0)
    found = fit_bgnbd(simulated(truth, 6_000, 0)).parameters
    assert found.r / found.alpha == pytest.approx(truth.r / truth.alpha, rel=0.1)
    assert found.a / (found.a + found.b) == pytest.approx(truth.a / (truth.a + truth.b), rel=0.15)


def test_the_likelihood_of_one_who_never_came_back_by_hand():
    # B(a, b) / B(a, b) * (alpha / (alpha + T)) ^ r with r = 2, alpha = T.
    nobody = Histories(np.zeros(1), np.zeros(1), np.full(1, 3.0))
    assert log_likelihoods(nobody, Alive(2.0, 3.0, 1.0, 1.0))[0] == pytest.approx(np.log(0.25))


@given(st.integers(0, 30), st.floats(0, 1), st.floats(0.1, 200))
def test_p_alive_is_a_probability_and_expectations_grow_with_time(x, share, age):
    one = Histories(np.array([float(x)]), np.array([age * share if x else 0.0]), np.array([age]))
    parameters = Alive(0.2426, 4.4135, 0.7929, 2.4257)
    assert 0 <= p_alive(one, parameters)[0] <= 1
    ahead = [expected_purchases(one, parameters, days)[0] for days in (1.0, 10.0, 100.0)]
    assert ahead == sorted(ahead)
    assert ahead[0] >= 0


@pytest.mark.datasets
def test_the_published_parameters_of_cdnow_come_out(datasets):
    found = fit_bgnbd(cdnow_weeks(datasets))
    assert found.parameters == pytest.approx((0.2426, 4.4135, 0.7929, 2.4257), abs=3e-4)
    assert found.log_likelihood == pytest.approx(-9582.43, abs=5e-3)


@pytest.mark.datasets
def test_the_repeat_orders_of_cdnow_s_78_weeks_are_foreseen_from_39(datasets):
    """The paper's tracking plot ends a few per cent below the truth as well."""
    table = pq.read_table(datasets / "cdnow" / "cdnow_sample.parquet")
    customer, day = table["customer_id"].to_numpy(), table["date"].to_numpy().astype("datetime64[D]")
    days = np.unique(np.column_stack([customer, day.astype(np.int64)]), axis=0)
    histories = cdnow_weeks(datasets)
    foreseen = expected_purchases(histories, fit_bgnbd(histories).parameters, 39.0).sum()
    assert histories.x.sum() + foreseen == pytest.approx(len(days) - len(histories.x), rel=0.06)


def cdnow_weeks(datasets):
    """Repeat orders of the first 39 weeks of the 1-in-10 sample."""
    table = pq.read_table(datasets / "cdnow" / "cdnow_sample.parquet")
    customer, day = table["customer_id"].to_numpy(), table["date"].to_numpy().astype("datetime64[D]")
    days = np.unique(np.column_stack([customer, day.astype(np.int64)])[day <= CALIBRATION_END], axis=0)
    _, first, n = np.unique(days[:, 0], return_index=True, return_counts=True)
    start, last, end = days[first, 1], days[first + n - 1, 1], CALIBRATION_END.astype(np.int64)
    return Histories((n - 1).astype(float), (last - start) / WEEK_DAYS, (end - start) / WEEK_DAYS)
