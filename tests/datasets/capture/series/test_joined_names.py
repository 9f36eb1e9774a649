"""Images of several series keep their names where they can."""

from datasets.capture.series.joined_names import joined_names


def test_names_stay_unless_two_series_share_one():
    assert joined_names({"a": ["a_1.jpg", "a_2.jpg"], "b": ["b_1.jpg"]}) == {
        "a": {"a_1.jpg": "a_1.jpg", "a_2.jpg": "a_2.jpg"},
        "b": {"b_1.jpg": "b_1.jpg"},
    }
    assert joined_names({"a": ["1.jpg", "2.jpg"], "b": ["2.JPG", "a_1.jpg"]}) == {
        "a": {"1.jpg": "a_1.jpg", "2.jpg": "a_2.jpg"},
        "b": {"2.JPG": "b_2.JPG", "a_1.jpg": "b_a_1.jpg"},
    }
