from rlkit.core.words.nearest import nearest, suggestion


def test_the_nearest_name_is_found_whatever_its_case_and_with_the_highest_version() -> None:
    names = ["Hopper-v4", "Hopper-v5", "Walker2d-v5"]
    assert nearest("hoper", names) == "Hopper-v5"
    assert nearest("HOPPER-v4", names) == "Hopper-v4"
    assert nearest("Wlaker2d-v5", names) == "Walker2d-v5"


def test_nothing_is_suggested_when_nothing_is_close() -> None:
    assert nearest("zzzz", ["Hopper-v5"]) is None
    assert suggestion("zzzz", ["Hopper-v5"]) == ""
    assert suggestion("zzzz", []) == ""
    assert suggestion("Hoper-v5", ["Hopper-v5"]) == "; did you mean 'Hopper-v5'?"


def test_dashes_alone_make_no_option_near() -> None:
    known = ["--help", "--steps", "--quiet", "--trust"]
    assert suggestion("--checkpoint", known) == ""
    assert suggestion("--xyz", known) == ""
    assert suggestion("--stesp", known) == "; did you mean '--steps'?"
