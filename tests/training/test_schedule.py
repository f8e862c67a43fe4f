import keras
import numpy as np
import pytest

from keras_transformer import WarmupSchedule


@pytest.mark.parametrize(
    ("d_model", "step", "rate"),
    [
        (512, 1, 1.746928e-7),
        (512, 100, 1.746928e-5),
        (512, 4000, 6.987712e-4),
        (512, 100_000, 1.397542e-4),
        (1024, 1, 1.235265e-7),
        (1024, 4000, 4.941059e-4),
    ],
)
def test_the_rates_are_the_papers(d_model, step, rate):
    schedule = WarmupSchedule(d_model)
    assert float(schedule(step - 1)) == pytest.approx(rate, rel=1e-6)  # Keras counts from 0


def test_the_peak_is_at_the_end_of_the_warm_up():
    rates = np.asarray(WarmupSchedule(d_model=7, warmup_steps=23)(np.arange(101)))
    assert rates.argmax() == 23 - 1
    assert (np.diff(rates[:23]) > 0).all()
    assert (np.diff(rates[22:]) < 0).all()


def test_the_scale_multiplies():
    plain, scaled = WarmupSchedule(512), WarmupSchedule(512, scale=2.53)
    assert float(scaled(17)) == pytest.approx(2.53 * float(plain(17)), rel=1e-6)


def test_the_first_step_of_fit_has_the_rate_of_step_one():
    """With plain descent and a gradient of 1, a step is as long as its rate."""
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(WarmupSchedule(4, warmup_steps=3)), loss=lambda _, y: -y)
    ones = np.ones((1, 1), "float32")
    model.fit(ones, ones, epochs=5, verbose=0)
    rates = [0.5 * min(step**-0.5, step * 3**-1.5) for step in range(1, 6)]
    assert float(layer.kernel[0, 0]) == pytest.approx(sum(rates), rel=1e-5)


def test_a_warm_up_has_a_step():
    with pytest.raises(ValueError, match=r"must be at least 1\. Received: 0$"):
        WarmupSchedule(512, warmup_steps=0)


def test_it_comes_back_from_its_configuration():
    schedule = WarmupSchedule(17, warmup_steps=19, scale=1.3)
    optimizer = keras.optimizers.deserialize(
        keras.optimizers.serialize(keras.optimizers.Adam(schedule))
    )
    assert optimizer._learning_rate.get_config() == schedule.get_config()
