"""The table of demonstrations."""

from headstart.demo_data import DEMOS


def test_every_demo_is_filed_under_its_name():
    assert list(DEMOS) == ["images", "text", "audio", "speech", "summaries", "trees"]
    assert all(demo.name == name for name, demo in DEMOS.items())


def test_published_results_say_where_they_come_from():
    for demo in DEMOS.values():
        for result in demo.published:
            assert set(result) == {"name", "metric", "value", "note"}
            assert 0 < result["value"] < 1
