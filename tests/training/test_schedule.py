"""Learning rate and data order, both functions of the step."""

import itertools

import pytest

from flowmodel.recipes.schema import TrainingConfig
from flowmodel.training.icon_set import EpochOrder
from flowmodel.training.schedule import learning_rate


def test_learning_rate_warms_up_and_decays():
    config = TrainingConfig(steps=1000, warmup_steps=100, learning_rate=1e-3, final_lr_frac=0.1)
    rates = [learning_rate(step, config) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-5)
    assert max(rates) == rates[99] == rates[100] == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(1e-4, rel=0.01)
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[100:]))


def test_every_epoch_sees_every_icon_once_in_another_order():
    order = EpochOrder(icons=7, batch_size=3, seed=5)
    seen = [icon for step in range(7) for icon in order(step).tolist()]
    epochs = [seen[:7], seen[7:14], seen[14:]]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_order_is_a_function_of_the_step_alone():
    walked = EpochOrder(icons=7, batch_size=3, seed=5)
    for step in range(6):
        expected = walked(step).tolist()
    assert EpochOrder(icons=7, batch_size=3, seed=5)(5).tolist() == expected
    assert EpochOrder(icons=7, batch_size=3, seed=6)(5).tolist() != expected
