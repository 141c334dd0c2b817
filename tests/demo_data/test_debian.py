"""The table of package descriptions: which rows, and who may be where."""

from collections import Counter

import pytest

from headstart.demo_data import apt, debian
from headstart.demo_data.control_fields import Package
from headstart.demo_data.debian import Row
from headstart.errors import DataError, MachineError
from headstart.types import Silent


def package(name, section="net", source=None, synopsis="does things", description=None):
    return Package(name, source or name, section, synopsis, description or f"Explains what number {name[1:]} does.")


def rows(sections=("games", "net"), n=40):
    return [
        Row(f"{section} text {i}", section, f"{section}-source-{i}", f"p{section}{i}")
        for section in sections
        for i in range(n)
    ]


def test_one_row_per_source_and_section():
    found = [package(f"p{i}", source="same") for i in range(5)] + [package("q1", "doc", source="same")]
    assert sorted(row.section for row in debian.select_rows(found)) == ["doc", "net"]


def test_no_text_twice():
    found = [package(f"p{i}", description="The very same words.") for i in range(3)]
    assert len(debian.select_rows(found)) == 1


@pytest.mark.parametrize(
    "dropped",
    [
        package("p1-dbgsym"),
        package("p1", synopsis="transitional package for p2"),
        package("p1", synopsis="Dummy upgrade package"),
        package("p1", synopsis="everything (metapackage)"),
        package("p1", section="oldlibs"),
        package("p1", section="misc"),
        Package("p1", "p1", "net", "does things", ""),
    ],
)
def test_packages_without_content_are_dropped(dropped):
    assert debian.select_rows([dropped]) == []


def test_order_of_the_lists_does_not_matter():
    found = [package(f"p{i}", source=f"s{i // 3}") for i in range(30)]
    assert debian.select_rows(found) == debian.select_rows(found[::-1])


def test_chooses_the_sections_with_most_sources():
    many = rows(("a",), 9) + rows(("b",), 5) + rows(("c",), 7) + rows(("d",), 2)
    many += [Row(f"copy {i}", "d", "one-source", f"copy{i}") for i in range(20)]
    assert debian.choose_sections(many, 2, 4) == ["a", "c"]
    assert debian.choose_sections(many, 9, 4) == ["a", "b", "c"]


def test_too_few_sections():
    with pytest.raises(DataError, match="1 sections have 9 sources"):
        debian.choose_sections(rows(("a",), 9), 5, 9)


def test_at_most_so_many_per_section():
    taken = debian.take_per_section(rows(), 7, seed=0)
    assert Counter(row.section for row in taken) == {"games": 7, "net": 7}
    assert taken != debian.take_per_section(rows(), 7, seed=1)


def test_subset_separates_sources(tmp_path):
    shared = [
        Row(f"{section} shared {i}", section, f"shared{i}", f"{section}{i}") for section in "xy" for i in range(60)
    ]
    train_path, test_path = debian.write_subset(shared, tmp_path / "a", 16, seed=1)
    train, test = debian.read_table(train_path), debian.read_table(test_path)
    assert Counter(row.section for row in train) == {"x": 16, "y": 16}
    assert not {row.source for row in train} & {row.source for row in test}
    other_train, other_test = debian.write_subset(shared, tmp_path / "b", 16, seed=2)
    assert debian.read_table(other_test) == test
    assert debian.read_table(other_train) != train


def test_subset_limits_the_test_side(tmp_path):
    _, test = debian.write_subset(rows(), tmp_path, 4, test_per_class=5)
    assert Counter(row.section for row in debian.read_table(test)) == {"games": 5, "net": 5}


def test_subset_of_too_few_rows(tmp_path):
    with pytest.raises(DataError, match=r"2 sections have fewer than 100 rows.*games, net"):
        debian.write_subset(rows(), tmp_path, 100)
    assert list(tmp_path.iterdir()) == []


def test_table_survives_a_round_trip(tmp_path):
    table = [Row('two\nlines, "quoted"', "net", "s", "p"), Row("größer", "doc", "s2", "p2")]
    debian.write_table(table, tmp_path / "t.csv")
    assert debian.read_table(tmp_path / "t.csv") == table


def test_prepare_writes_and_reuses(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(debian, "usable_rows", lambda root, reporter: calls.append(root) or rows())
    path = debian.prepare(tmp_path, Silent(), per_class=10, sections=2)
    assert path == tmp_path / "debian-sections" / "sections.csv"
    assert path.read_text().splitlines()[0] == "text,section,source,package"
    assert len(debian.read_table(path)) == 20
    debian.prepare(tmp_path, Silent(), per_class=10, sections=2)
    assert len(calls) == 1
    assert len(debian.read_table(debian.prepare(tmp_path, Silent(), per_class=5, sections=2))) == 10


def test_without_apt(tmp_path, monkeypatch):
    monkeypatch.setattr(apt.shutil, "which", lambda name: None)
    with pytest.raises(MachineError, match=r"Debian or Ubuntu.*headstart fit reviews\.csv"):
        debian.prepare(tmp_path, Silent())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_real_descriptions(tmp_path):
    table = debian.read_table(debian.prepare(tmp_path, Silent()))
    counts = Counter(row.section for row in table)
    assert len(counts) == 20 and set(counts.values()) == {300}
    assert len({(row.source, row.section) for row in table}) == len(table)
    everything = debian.usable_rows(tmp_path, Silent())
    chosen = debian.in_sections(everything, counts)
    train, test = debian.write_subset(chosen, tmp_path / "bench", 16)
    assert len(debian.read_table(train)) == 16 * 20
    assert len(debian.read_table(test)) > 10_000
