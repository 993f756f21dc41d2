"""Typed functions as the commands of a parser, and what a parser complains of as one sentence."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, get_type_hints

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentError, ArgumentParser

from unsynth import __version__
from unsynth.errors import UsageError


def at_least(least: int, **options: float | None) -> None:
    """UsageError where the number of an option is below ``least``, or NaN; None is an option that was not given."""
    for name, value in options.items():
        if value is not None and not value >= least:
            raise UsageError(f"--{name.replace('_', '-')} {value} is not possible; give {least} or more.")


def parse(argv: Sequence[str], table: Mapping[str, Callable[..., None]]) -> tuple[str, dict[str, Any]]:
    """The name of a command and its arguments; UsageError names the option that is wrong.

    Commands whose names have two words with the same first, like ``index build``, are the actions of that word.
    """
    main = ArgumentParser(
        prog="unsynth",
        description="Give it a sound, get back the synthesizer patch that makes it.",
        version=__version__,
        exit_on_error=False,
        allow_abbrev=False,
    )
    _add_commands(main, table)
    try:
        parsed = main.parse_args(list(argv))
    except ArgumentError as error:
        words = {*table, *(name.split()[0] for name in table)}
        known = next((name for n in (2, 1) if (name := " ".join(argv[:n])) in words), "")
        raise UsageError(sentence(str(error), " ".join(filter(None, ("unsynth", known, "--help"))))) from error
    name = parsed.subcommand
    if action := parsed[name].get("subcommand"):
        return f"{name} {action}", vars(parsed[name][action])
    return name, vars(parsed[name])


def _add_commands(to: ArgumentParser, table: Mapping[str, Callable[..., None]]) -> None:
    commands = to.add_subcommands()
    for word, names in groupby(table, lambda name: name.split()[0]):
        first, *more = names
        help = parse_docstring(table[first].__doc__ or "").short_description
        if first == word:
            commands.add_subcommand(word, parser(table[word]), help=help)
            continue
        actions = {name.removeprefix(f"{word} "): table[name] for name in (first, *more)}
        group = ArgumentParser(description=f"One of: {', '.join(actions)}.", exit_on_error=False, allow_abbrev=False)
        commands.add_subcommand(word, group, help=f"{', '.join(actions)}: `unsynth {word} --help` tells more.")
        _add_commands(group, actions)


def parser(command: Callable[..., None]) -> ArgumentParser:
    """Parameters before the star are positional (a list takes one or more), the others are options, bools are flags.

    Options have dashes where the names of parameters have underscores.
    """
    told = parse_docstring(command.__doc__ or "")
    texts = {param.arg_name: param.description for param in told.params}
    description = "\n\n".join(filter(None, (told.short_description, told.long_description)))
    made = ArgumentParser(description=description, exit_on_error=False, allow_abbrev=False)
    parameters = inspect.signature(command).parameters.values()
    places = {p.name: "?" if p.default is None else "+" for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
    for name, nargs in places.items():
        made.add_argument(name, nargs=nargs, type=str, metavar=name.upper(), help=texts[name])
    flags = [p.name for p in parameters if p.annotation == "bool"]
    lists = [p.name for p in parameters if p.annotation == "list[str] | None"]
    dashed = [p.name for p in parameters if "_" in p.name and p.name not in (*places, *flags, *lists)]
    made.add_function_arguments(command, as_group=False, skip={*places, *flags, *lists, *dashed})
    for name in dashed:
        kind, default = get_type_hints(command)[name], inspect.signature(command).parameters[name].default
        made.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default, help=texts[name])
    for name in lists:
        made.add_argument(f"--{name}", nargs="+", type=str, action="extend", help=texts[name])
    for name in flags:
        made.add_argument(f"--{name}", action="store_true", help=texts[name])
    return made


def sentence(error: str, help_command: str) -> str:
    """jsonargparse's message on one line: whatever the option, its name is in it."""
    what = " ".join(error.split())
    if error.startswith("Parser key"):
        what = "Option --{1} cannot have this value".format(*error.split('"'))
    return f"{what[0].upper()}{what[1:].rstrip('.')}; `{help_command}` tells more."
