"""What would be published: everything that is needed is in the package, and what it says holds.

`.ci/check_package` builds and installs it; here is what goes wrong silently.
"""

import configparser
import fnmatch
import pathlib
import re

import bnkit

ROOT = pathlib.Path(bnkit.__file__).parents[1]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")


def lines_of(section, option):
    return SETUP[section][option].strip().splitlines()


def directories():
    """Package -> its directory, of all that are installed."""
    moved = dict(line.split(" = ") for line in lines_of("options", "package_dir"))
    return {
        name: ROOT / moved.get(name, name.replace(".", "/"))
        for name in lines_of("options", "packages")
    }


def test_every_package_is_installed():
    there = {path.parent for path in (ROOT / "bnkit").rglob("*.py")}
    assert there | {ROOT / "flags"} == set(directories().values())
    names = lines_of("options", "packages")
    assert names == sorted(names)


def test_every_file_that_is_no_code_is_installed():
    data = {name: patterns.split(", ") for name, patterns in SETUP["options.package_data"].items()}
    files = [path for path in (ROOT / "bnkit").rglob("*") if path.is_file()]
    files = [path for path in files if path.suffix not in (".py", ".pyc")]
    files += (ROOT / "flags").iterdir()
    assert len(files) > 20
    homes = {directory: name for name, directory in directories().items()}
    for path in files:
        patterns = data.get(homes[path.parent], ())
        assert any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns), path


def test_the_long_description_stands_alone():
    """On a page of a package index there is no file of the repository."""
    assert SETUP["metadata"]["long_description"] == "file: DESCRIPTION.md"
    assert SETUP["metadata"]["long_description_content_type"] == "text/markdown"
    text = (ROOT / "DESCRIPTION.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links and all(link.startswith("https://") for link in links)
    assert "![" not in text and "<img" not in text


def test_the_metadata_are_complete():
    metadata = SETUP["metadata"]
    for name in ("name", "version", "description", "author", "license_expression", "keywords"):
        assert metadata[name].strip(), name
    assert metadata["version"] == "attr: bnkit.__version__"
    assert (ROOT / metadata["license_files"]).is_file()
    assert re.fullmatch(r"\d+\.\d+\.\d+", bnkit.__version__)
    # Pythons that are promised are those that it installs on.
    first, last = re.fullmatch(
        r">=3\.(\d+), <3\.(\d+)", SETUP["options"]["python_requires"]
    ).groups()
    promised = re.findall(r"Python :: 3\.(\d+)", metadata["classifiers"])
    assert promised == [str(minor) for minor in range(int(first), int(last))]


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    top = dict(re.findall(r"^([a-z-]+): *(.*)$", text, re.MULTILINE))
    assert {"cff-version", "message", "title", "authors"} <= set(top), "needed by the format"
    assert top["version"] == bnkit.__version__
    assert top["license"] == SETUP["metadata"]["license_expression"]
    assert SETUP["metadata"]["author"] in text


def test_the_changelog_keeps_its_form():
    """That of Keep a Changelog: versions, newest first, and below them kinds of changes."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    for version in versions[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", version), version
    kinds = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert kinds
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
