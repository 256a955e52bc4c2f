"""Which class names are taken for twins, and which are not."""

import pytest

from mlc_cli.core.datasets.inspection.names import misspellings, plurals, twins, untrimmed

COCO = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,"
    "stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,"
    "backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,"
    "baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,"
    "bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,"
    "oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
)


@pytest.mark.parametrize("name", [" cat", "cat ", "\tcat", "traffic  light", "\u00a0cat", " "])
def test_stray_spaces_are_found(name: str) -> None:
    assert untrimmed(["dog", name, "traffic light"]) == [name]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Cat", "cat"),
        ("traffic light", "traffic_light"),
        ("traffic light", "TrafficLight"),
        ("t-shirt", "T shirt"),
        ("caf\u00e9", "cafe\u0301"),
        ("STRASSE", "stra\u00dfe"),
        (" cat", "cat"),
    ],
)
def test_names_equal_but_for_case_and_signs_are_twins(one: str, other: str) -> None:
    assert twins([one, "dog", other]) == [(one, other)]


def test_three_of_a_kind_are_one_group() -> None:
    assert twins(["a b", "A B", "c", "a_b"]) == [("a b", "A B", "a_b")]


@pytest.mark.parametrize(
    ("one", "many"), [("dog", "dogs"), ("bus", "buses"), ("berry", "berries"), ("Dog", "DOGS")]
)
def test_plurals_are_found_whichever_comes_first(one: str, many: str) -> None:
    assert plurals(["x", one, many]) == [(one, many)]
    assert plurals([many, "x", one]) == [(one, many)]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("motorcycle", "motorcylce"),  # neighbours changed places
        ("umbrella", "umbrela"),  # one left out
        ("giraffe", "girafee"),  # another one
        ("traffic light", "trafic light"),
        ("fire hydrant", "fire_hydrent"),
        ("zebras x", "zebra x"),  # not the plural of the whole name
    ],
)
def test_a_letter_apart_is_found(right: str, wrong: str) -> None:
    assert misspellings([right, "person", wrong]) == [(right, wrong)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("boat", "goat"),
        ("mouse", "house"),
        ("baseball bat", "baseball hat"),
        ("class 001", "class 002"),
        ("class_10", "class_100"),
        ("version12", "version13"),
        ("elephant", "elegant"),
        ("abcdefg", "bcdefgh"),
        ("umbrella", "umbrellas"),  # a plural, which is said elsewhere
        ("Umbrella", "umbrella"),  # twins, which is said elsewhere
    ],
)
def test_what_differs_by_right_is_not_taken_for_a_mistake(one: str, other: str) -> None:
    assert misspellings([one, other]) == []


def test_classes_of_coco_raise_no_suspicion() -> None:
    names = COCO.split(",")
    assert len(names) == 80
    assert (untrimmed(names), twins(names), plurals(names), misspellings(names)) == ([], [], [], [])


def test_no_names_and_blank_names_are_no_trouble() -> None:
    for names in ([], [""], ["", " "], ["_", "-"]):
        assert plurals(names) == []
        assert misspellings(names) == []


def test_many_names_take_no_square_of_their_number() -> None:
    rng_names = [f"{a}{b}{c}word" for a in "abcdefghij" for b in "klmnopqrst" for c in "uvwxyzabcd"]
    assert len(misspellings([*rng_names, "completely", "completly"])) > 0
