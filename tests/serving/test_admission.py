"""Admission, and the retry time of refused clients."""

import time

import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.serving.admission import Admission, Busy
from flowmodel.serving.limits import Limits


def test_images_are_pending_until_any_response():
    admission = Admission(queue=3, seconds=60)
    with admission.admitted(2):
        with pytest.raises(ZeroDivisionError), admission.admitted(1):
            raise ZeroDivisionError
        assert admission.pending == 2
    assert admission.pending == 0


def test_requests_beyond_the_queue_are_refused_with_a_time_from_the_throughput():
    admission = Admission(queue=2, seconds=60)
    with admission.admitted(1):
        time.sleep(0.1)
    with admission.admitted(2), pytest.raises(Busy) as refused, admission.admitted(1):
        raise AssertionError
    assert refused.value.retry_after == 1
    slow = Admission(queue=100, seconds=1000)
    slow._seconds_each = 2.0
    slow.pending = 100
    with pytest.raises(Busy) as refused, slow.admitted(1):
        raise AssertionError
    assert refused.value.retry_after == 60


def test_a_request_that_would_time_out_is_refused_unless_the_queue_is_empty():
    admission = Admission(queue=1000, seconds=0.2)
    with admission.admitted(1):
        time.sleep(0.1)
    with admission.admitted(5), pytest.raises(Busy), admission.admitted(1):  # the five are alone, and may well be in time
        raise AssertionError


@pytest.mark.parametrize(("given", "named"), [({"steps": 0}, "steps"), ({"queue": 4, "images": 5}, "queue")])
def test_limits_that_accept_nothing_are_refused(given, named):
    with pytest.raises(FlowmodelError, match=f"limit '{named}'"):
        Limits(**given)
