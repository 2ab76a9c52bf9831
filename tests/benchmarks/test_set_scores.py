"""The criterion for a score, on known scores."""

from benchmarks.set_scores import verdict


def test_a_score_passes_where_it_never_prefers_the_worse_of_two():
    assert verdict("kid", [[0.0, 0.1, 0.2], [0.0, 0.0, 0.1]]) == {
        "score": "kid", "wrong": 0, "right": 3, "equal": 1, "passes": True
    }  # fmt: skip
    assert verdict("vendi", [[20.0, 19.0, 21.0]])["wrong"] == 1 and not verdict("vendi", [[20.0, 19.0, 21.0]])["passes"]
    assert not verdict("precision", [[1.0, 1.0, 1.0]])["passes"], "what is always equal says nothing"
