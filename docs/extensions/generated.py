"""The parts of pages that are made from the package itself, so that they cannot be out of date.

A line `<!-- generated: NAME -->` of a page is replaced by the Markdown that the function of that
name in `PARTS` returns.
"""

import inspect
import operator
import pathlib
import re
import shutil

import bnkit
from bnkit import callbacks, command_line, data, families, kinds, layers, models, probes, report
from bnkit.report.figures import FIGURES
from bnkit.report.page import effects

ROOT = pathlib.Path(__file__).parents[2]
KEPT = ROOT / "reports" / "quick"

# Column of `--help` where the texts of choices begin.
_SECOND = 40
_MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def setup(app):
    app.connect("source-read", _fill)
    app.connect("autodoc-process-docstring", _refer)
    app.connect("autodoc-process-signature", _sign)
    app.connect("build-finished", _add_report)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill(app, name, source):
    source[0] = fill(source[0])


def fill(text):
    """The text of a page with its generated parts.

    Raises:
        KeyError: For a part that there is not.
    """
    return _MARK.sub(lambda found: PARTS[found[1]](), text)


def _add_report(app, error):
    """The kept report is part of the site: `quick/index.html`."""
    if error is None and app.builder.format == "html":
        shutil.copytree(KEPT, pathlib.Path(app.outdir, "quick"), dirs_exist_ok=True)


# Flags.


def flags():
    """Every flag of the command by group, as `--help` has them, with its default and choices."""
    lines = []
    for title, group in read_help(command_line.help_text()).items():
        lines += [f"## {title}", ""]
        for name, (text, choices) in group.items():
            text, default = re.fullmatch(r"(.*?)(?: \[([^\[]*)\])?", text).groups()
            shown = f". Default: `{default}`" if default else ""
            lines += [f"(flag-{name})=", "", f"`--{name}`", f": {_escaped(text)}{shown}", ""]
            lines += [f"  - `{choice}`: {_escaped(what)}" for choice, what in choices.items()]
            lines += [""]
    return "\n".join(lines)


def read_help(text):
    """The text of `--help` -> its groups: title -> flag -> its text, and its choices."""
    names = sorted(command_line.parse([""])[0], key=len, reverse=True)
    known = {*families.MODELS, *kinds.PROBES, "your own"}
    groups = {}
    for line in text.splitlines():
        label, rest = line[:_SECOND].strip(), line[_SECOND:].strip()
        if found := re.fullmatch(r"(\S.*):", line):
            group = groups[found[1]] = {}
        elif line.startswith("  --"):
            name = next(name for name in names if line.startswith(f"  --{name}"))
            texts, choices = group[name] = [line.removeprefix(f"  --{name}").strip()], {}
        elif groups and label in known:
            choices[label] = rest
        elif groups and choices:
            choices[list(choices)[-1]] += f" {rest}"
        elif groups and label:
            texts.append(line.strip())
    return {
        title: {name: (" ".join(texts), choices) for name, (texts, choices) in group.items()}
        for title, group in groups.items()
    }


# Figures.


def figures():
    """Every figure of a report: where it comes from, what is seen, which probe draws it."""
    lines = []
    for group in kinds.GROUPS:
        lines += [f"## {group}", ""]
        for entry in FIGURES:
            if entry.group == group:
                lines += _figure(entry)
    return "\n".join(lines)


def _figure(entry):
    asked = [kinds.KINDS[name].probe for name in entry.kinds if name in kinds.KINDS]
    asked = list(dict.fromkeys(filter(None, asked)))
    needs = f"`--probes={','.join(asked)}`" if asked else "nothing beyond what every run records"
    kept = KEPT / "figures" / f"{entry.name}.png"
    return [
        f"(figure-{entry.name})=",
        f"### {entry.title}",
        "",
        _escaped(entry.caption),
        "",
        *_image(kept, entry.title),
        f"Source: {_escaped(entry.source)} File: `{entry.name}`. It needs {needs}.",
        "",
    ]


# Studies.


def gallery():
    """Every flag file: its header, its command and its flags."""
    lines = []
    for path in sorted((ROOT / "flags").glob("*.flags"), key=_natural):
        header, asked = read_flag_file(path)
        claim = _escaped(header.pop("Claim"))
        lines += [f"### {path.stem}", "", claim[0].upper() + claim[1:], "", "```"]
        lines += [header.pop("Command"), "```", ""]
        for name, text in header.items():
            lines += [f"{name}", f": {_escaped(text)}", ""]
        lines += ["Flags", f": {' '.join(f'`{flag}`' for flag in asked)}", ""]
    return "\n".join(lines)


def read_flag_file(path):
    """The header of a flag file, word -> text, and its flags.

    A header is in comments: `# Claim:    ...`, whose further lines are indented.
    """
    header, asked = {}, []
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"# (\w+): +(.*)", line):
            word, header[found[1]] = found[1], found[2]
        elif line.startswith("#"):
            header[word] += " " + line.removeprefix("#").strip()
        elif line.strip():
            asked.append(line.strip())
    return header, asked


def _natural(path):
    """fig2 before fig10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]


def kept_verdicts():
    """The claims that the kept report decides, in the words of its page."""
    lines = ["| claim | effect, with its interval | verdict |", "|---|---|---|"]
    for claim in report.read_claims(KEPT):
        if claim.get("of_study", True) and claim["interval"]:
            # A report of an earlier version has no questions; the study's claims have their names.
            effect = effects.read({"question": claim["id"], **claim})
            lines.append(f"| {claim['claim']} | {effect} | {claim['verdict']} |")
    return "\n".join(lines)


def costs():
    """What each probe costs, as in the README's table."""
    lines = ["| probe | cost of one measurement |", "|---|---|"]
    probed = [kind for kind in kinds.KINDS.values() if kind.probe]
    return "\n".join([*lines, *(f"| `{kind.name}` | {kind.cost} |" for kind in probed)])


def kept_figures():
    """The figures of the kept report, as images."""
    lines = []
    for entry in FIGURES:
        path = KEPT / "figures" / f"{entry.name}.png"
        if path.exists():
            lines += [f"[{entry.title}](#figure-{entry.name})", "", *_image(path, entry.title)]
    return "\n".join(lines)


def _image(path, title):
    if not path.exists():
        return []
    return [f"![{title}](/../{path.relative_to(ROOT).as_posix()})", ""]


# API.


def api():
    """The public names of the packages, with their docstrings."""
    lines = []
    for package, names in public_names().items():
        lines += [f"## {package}", "", "```{eval-rst}"]
        if package != "bnkit":
            lines += [f".. automodule:: {package}", "   :no-members:", ""]
        for name in names:
            lines += _documented(f"{package}.{name}")
        lines += ["```", ""]
    return "\n".join(lines)


def public_names():
    """Package -> its public names, and those that their docstrings refer to."""
    made = [layers.get(name) for name in layers.names()]
    classes = dict.fromkeys(one.func.__name__ for one in made if one is not None)
    packages = (models, probes, callbacks, data, report)
    names = {package.__name__: sorted(package.__all__, key=str.lower) for package in packages}
    names["bnkit.data"].append("files.load_files")
    return {
        "bnkit": ["Settings", "Trainer"],
        "bnkit.layers": ["names", "get", *classes, "normalization.Normalization"],
        **names,
    }


def _documented(path):
    what = operator.attrgetter(path.removeprefix("bnkit."))(bnkit)
    if inspect.isclass(what):
        members = [member for member in ("frame", "plot") if hasattr(what, member)]
        lines = [f".. autoclass:: {path}"]
        if members:
            lines.append(f"   :members: {', '.join(members)}")
        return [*lines, ""]
    if callable(what):
        return [f".. autofunction:: {path}", ""]
    return []


def _sign(app, kind, name, what, options, arguments, returned):
    """Keras's layers take what their `__init__` does, which their `__new__` hides."""
    if kind == "class" and arguments == "(*args, **kwargs)":
        parameters = list(inspect.signature(what.__init__).parameters.values())
        return str(inspect.Signature(parameters[1:])), returned
    return arguments, returned


def _refer(app, kind, name, what, options, lines):
    """Names of what is documented become links; all else in backticks is code, as it stands."""
    names = public_names()
    paths = {f"{package}.{one}" for package, ones in names.items() for one in ones} | {*names}
    package = ".".join(name.split(".")[:2])

    def link(found):
        for path in (found[1], f"{package}.{found[1]}"):
            if path in paths - {name}:
                return f":py:obj:`{found[1]} <{path}>`"
        return found[0]

    for number, line in enumerate(lines):
        line = re.sub(r"(?<![`:\w])`([\w.]+)`(?!`)", link, line)
        # What is joined to code has to be parted by an escaped space: `array`s.
        lines[number] = re.sub(r"(`[^`]+`)(?=\w)", r"\1\\ ", line)


def _escaped(text):
    """Text that Markdown shows as it is: formulas in captions are no emphasis, flags are code."""
    text = re.sub(r"([*_<>\[\]\\$|])", r"\\\1", text)
    return re.sub(r"--\w[\w\\]*", lambda found: f"`{found[0]}`".replace("\\", ""), text)


_ALL = (api, costs, figures, flags, gallery, kept_figures, kept_verdicts)
PARTS = {part.__name__: part for part in _ALL}
