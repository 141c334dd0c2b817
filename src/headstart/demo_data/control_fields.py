"""Read Debian control data: stanzas of fields, and package descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BULLET = re.compile(r"([*+•-]|o)\s")


@dataclass(frozen=True)
class Package:
    """One binary package: where the archive files it, and how its maintainer describes it."""

    name: str
    source: str
    section: str
    synopsis: str
    description: str

    @property
    def text(self) -> str:
        """Synopsis and long description without the package's own name, which often gives the section away."""
        return without_name(f"{self.synopsis}\n{self.description}".strip(), self.name)


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield each stanza's fields; continuation lines stay in the value, with their leading blank."""
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in block.split("\n"):
            if line.startswith((" ", "\t")):
                if name:
                    fields[name] += "\n" + line
            elif ":" in line:
                name, value = line.split(":", 1)
                fields[name] = value.strip()
        if fields:
            yield fields


def packages(packages_text: str, translations_text: str, language: str = "en") -> list[Package]:
    """Join a Packages list with the descriptions of one language by Description-md5.

    A package that occurs twice (several architectures) or has no description in that language is left out.
    """
    field = f"Description-{language}"
    descriptions = {
        fields["Description-md5"]: fields[field]
        for fields in stanzas(translations_text)
        if "Description-md5" in fields and field in fields
    }
    found: dict[str, Package] = {}
    for fields in stanzas(packages_text):
        description = descriptions.get(fields.get("Description-md5", ""))
        name = fields.get("Package", "")
        if description is None or not name or "Section" not in fields or name in found:
            continue
        source = fields.get("Source", name).split(" ")[0]  # "gcc-defaults (1.203)" names a version too
        section = fields["Section"].rpartition("/")[2]  # "universe/net" -> "net"
        found[name] = Package(name, source, section, *unwrap(description))
    return list(found.values())


def unwrap(description: str) -> tuple[str, str]:
    """Split a Description field into synopsis and long description, hard line breaks undone.

    " ." is a blank line; lines indented further keep a line of their own, and so does each item of a list.
    Source: Debian Policy 5.6.13.
    """
    synopsis, *lines = description.split("\n")
    paragraphs: list[str] = []
    joins = False  # whether the next flowing line continues the last paragraph
    for line in lines:
        content = line.strip()
        if content in ("", "."):
            paragraphs.append("")
            joins = False
        elif joins and not _BULLET.match(content) and (line[1] != " " or _BULLET.match(paragraphs[-1])):
            paragraphs[-1] += " " + content
        else:
            paragraphs.append(content)
            joins = True
    return synopsis.strip(), "\n".join(paragraphs).strip()


def without_name(text: str, name: str) -> str:
    """Remove a package's name wherever it stands as a word of its own, in any case."""
    # Not \b: names such as "g++" end in a character that is no part of a word.
    removed = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "", text, flags=re.IGNORECASE)
    lines = [re.sub(r"[ \t]+", " ", line).strip() for line in removed.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
