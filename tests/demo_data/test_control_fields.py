"""Debian's control data, as its policy describes them."""

from headstart.demo_data.control_fields import Package, packages, stanzas, unwrap, without_name

PACKAGES = """\
Package: alpha
Architecture: amd64
Description: plays chess
Description-md5: aaa
Tag: game::board,
 role::program
Section: games

Package: alpha
Architecture: i386
Description: plays chess
Description-md5: aaa
Section: games

Package: libbeta1
Source: beta (1:2.0-1)
Description: network library
Description-md5: bbb
Section: universe/libs

Package: untranslated
Description: nothing
Description-md5: ccc
Section: net
"""

TRANSLATIONS = """\
Package: alpha
Description-md5: aaa
Description-en: plays chess
 Alpha plays chess
 against you.
 .
 It never loses: see https://example.invalid for games.

Package: libbeta1
Description-md5: bbb
Description-en: network library
 Library for networks.
"""


def test_stanzas_keep_continuation_lines():
    first = next(stanzas(PACKAGES))
    assert first["Package"] == "alpha"
    assert first["Tag"] == "game::board,\n role::program"


def test_no_stanza_from_blank_text():
    assert list(stanzas("\n\n\n")) == []


def test_joins_by_md5_and_counts_a_package_once():
    alpha, beta = packages(PACKAGES, TRANSLATIONS)
    assert alpha == Package(
        "alpha",
        "alpha",
        "games",
        "plays chess",
        "Alpha plays chess against you.\n\nIt never loses: see https://example.invalid for games.",
    )
    assert (beta.source, beta.section) == ("beta", "libs")


def test_other_language():
    german = "Package: alpha\nDescription-md5: aaa\nDescription-de: spielt Schach\n Alpha spielt Schach.\n"
    assert [package.synopsis for package in packages(PACKAGES, german, "de")] == ["spielt Schach"]


def test_unwrap_lists_and_verbatim_lines():
    synopsis, description = unwrap(
        "tool\n Flowing\n text:\n  * first\n    goes on\n  * second\n .\n  verbatim one\n  verbatim two\n - item\n."
    )
    assert synopsis == "tool"
    assert description == "Flowing text:\n* first goes on\n* second\n\nverbatim one\nverbatim two\n- item"


def test_unwrap_synopsis_only():
    assert unwrap("tool") == ("tool", "")


def test_name_is_removed_as_a_word():
    assert without_name("Vim is vim, not gvim or vim8.\nUse vim-tiny", "vim") == "is , not gvim or vim8.\nUse -tiny"
    assert without_name("The g++ compiler", "g++") == "The compiler"


def test_text_of_a_package():
    assert Package("vim", "vim", "editors", "Vi IMproved", "Vim is an editor.").text == "Vi IMproved\nis an editor."
