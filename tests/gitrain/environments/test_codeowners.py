"""CODEOWNERS: the last pattern that matches, as GitHub documents them."""

import pytest

from gitrain.environments.codeowners import owners_of

FILE = "environments/production.yaml"


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", [FILE, "a"], []),
        ("*.yaml", [FILE, "a.yaml"], ["a.yml"]),
        ("/environments/", [FILE, "environments/a/b"], ["x/environments/a", "environments"]),
        ("environments/", [FILE, "x/environments/a"], ["environments"]),
        ("environments", [FILE, "x/environments/a", "environments"], []),
        ("/environments/production.yaml", [FILE], ["x/environments/production.yaml"]),
        ("environments/production.yaml", [FILE], ["x/environments/production.yaml"]),
        ("docs/*", ["docs/a"], ["docs/a/b"]),
        ("**/production.yaml", [FILE, "production.yaml"], ["x.yaml"]),
        ("/environments/**", [FILE, "environments/a/b"], ["x"]),
        ("a/**/z", ["a/z", "a/b/c/z"], ["b/z"]),
        ("/pro?uction.yaml", ["production.yaml"], ["pro/uction.yaml"]),
        ("/", [], [FILE]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_patterns(pattern, matching, others):
    assert all(owners_of(f"{pattern} @ada", path) == ("@ada",) for path in matching)
    assert all(owners_of(f"{pattern} @ada", path) == () for path in others)


def test_the_last_that_matches_decides_also_where_it_names_nobody():
    text = "* @all\n/environments/ @ada @acme/reviewers bob@example.com # who knows\n"
    assert owners_of(text, FILE) == ("@ada", "@acme/reviewers")
    assert owners_of(text, "README.md") == ("@all",)
    assert owners_of(f"{text}/environments/production.yaml\n", FILE) == ()
    assert owners_of(f"{text}!/environments/ @eve\n[e]nvironments/ @eve\n# @eve\n\n", FILE) == (
        "@ada",
        "@acme/reviewers",
    )
