"""Options that a command line gives more than once: lists, or errors that name all values."""

import argparse

import pytest

from keras_transformer.cli import given_options, join_repeated, name_each_value, refuse_repeated


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--a x --a y", "--a is given twice: x and y. Leave one out."),
        ("--a x --a=y", "--a is given twice: x and y. Leave one out."),
        ("--a-b=x --a_b y", "--a-b is given twice: x and y. Leave one out."),
        ("--a x --b y --a x", "--a is given twice: x and x. Leave one out."),
        ("--a -1 --a -2 --a 3", "--a is given 3 times: -1 and -2 and 3. Leave one out."),
        ("--flag text --flag", "--flag is given twice. Leave one out."),
        ("--a --a x", "--a is given twice: x. Leave one out."),
    ],
)
def test_an_option_given_twice_is_an_error(arguments, message):
    with pytest.raises(argparse.ArgumentError) as error:
        refuse_repeated(arguments.split(), flags=["flag"])
    assert str(error.value) == message


@pytest.mark.parametrize(
    "arguments",
    [
        ["--a", "x", "--b", "x"],
        ["--a", "x", "--", "--a", "--a"],
        ["--a", "x", "--a b", "--a b"],  # texts, as argparse takes them
        ["text", "text"],
        ["--list", "x", "--list=y"],
    ],
)
def test_what_is_given_once_is_none(arguments):
    refuse_repeated(arguments, may_repeat=["list"])


def test_values_are_those_of_the_parser():
    arguments = ["--a=b=c", "--d", "-3", "--flag", "text", "--e", "--f", "--", "--g"]
    expected = [("a", "b=c"), ("d", "-3"), ("flag", None), ("e", None), ("f", None)]
    assert given_options(arguments, ["flag"]) == expected


def test_values_of_a_list_are_joined_in_their_order():
    arguments = ["--a", 'one "x"', "--n", "3", "--b=é,f", "--a=two", "--", "--a", "three"]
    joined = ["--n", "3", '--b=["\\u00e9,f"]', '--a=["one \\"x\\"", "two"]', "--", "--a", "three"]
    assert join_repeated(arguments, ["a", "b"]) == joined
    assert join_repeated(["--a", "--n", "3"], ["a"]) == ["--a", "--n", "3"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("--a x y z --b y", "--a x --a y --a z --b y"),
        ("--a=x y --b=y z", "--a=x --a y --b=y z"),
        ("--b y --a", "--b y --a"),
        ("y --a x --a y z", "y --a x --a y --a z"),
        ("--a x -- y", "--a x -- y"),
        ("--aa x y", "--aa x y"),
    ],
)
def test_each_value_of_an_option_gets_its_name(given, named):
    assert name_each_value(given.split(), "a") == named.split()
