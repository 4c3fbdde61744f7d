"""Errors cross process borders whole, and each says what is wrong."""

from __future__ import annotations

import inspect
import pickle

import pytest

from ingestor import errors

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, errors.IngestorError) and "__init__" in dir(each) and not each.__name__.startswith("_")
]


def make(cls: type[errors.IngestorError]) -> errors.IngestorError:
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    named = [each for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    return cls(*(2.5 if each.annotation == "float" else f"the {each.name}" for each in named))


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_pickling_with_its_arguments(cls: type[errors.IngestorError]) -> None:
    """What an actor raises arrives as what it was."""
    error = make(cls)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is cls
    assert again.args == error.args
    assert str(again) == str(error)


@pytest.mark.parametrize("cls", CLASSES)
def test_the_message_holds_every_argument(cls: type[errors.IngestorError]) -> None:
    """The thing, the fault, the next step: nothing that was said is left out."""
    error = make(cls)
    assert all(str(argument).removesuffix(".0") in str(error) for argument in error.args)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """A new error is drawn where the others are."""
    assert errors.__doc__ is not None
    assert [each.__name__ for each in CLASSES if each.__name__ not in errors.__doc__] == []
