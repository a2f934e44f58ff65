import pytest

from gitrain.errors import SettingsError
from gitrain.release.bentofile import BASE_IMAGES, Bentofile
from gitrain.release.packing import packed_files, packed_packages

FILES = [
    "README.md", "docs/page.md", "params.yaml", "src/app/__init__.py", "src/app/model.py", "src/app/data.sql",
    "src/app/sub/part.py", "src/lone.py", "tests/test_app.py", "tool.py", "web/__init__.py", "web/page.html",
]  # fmt: skip


def bentofile(**values):
    return Bentofile(service="app.service:App", **values)


def test_all_of_src_is_packed_flat_and_nothing_else():
    placed = packed_files(FILES, bentofile(), modules=("app", "lone"))

    assert placed == {path: path.removeprefix("src/") for path in FILES if path.startswith("src/")}
    assert packed_packages(placed.values()) == {"app", "lone"}


def test_modules_outside_of_src_are_taken_from_the_root():
    placed = packed_files(FILES, bentofile(), modules=("tool", "web"))

    assert placed["tool.py"] == "tool.py"
    assert placed["web/page.html"] == "web/page.html"
    assert "tests/test_app.py" not in placed


def test_more_is_included_and_less_by_patterns():
    placed = packed_files(FILES, bentofile(include=("docs/",), exclude=("src/app/sub", "*.sql")), modules=("app",))

    assert set(placed) == {"src/app/__init__.py", "src/app/model.py", "src/lone.py", "docs/page.md"}


def test_a_module_that_is_nowhere_is_an_error():
    with pytest.raises(SettingsError, match="no module 'absent'"):
        packed_files(FILES, bentofile(), modules=("absent",))


def test_two_files_in_one_place_are_an_error():
    with pytest.raises(SettingsError, match=r"src/lone\.py and lone\.py would both be lone\.py"):
        packed_files([*FILES, "lone.py"], bentofile(include=("lone.py",)), modules=("app",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("service: service.py:App\n", "service is 'package.module:NAME'"),
        ("service: app:App\ndocker: {base_image: 'python:3.11'}\n", "docker.base_image"),
        ("service: app:App\ndocker: {system_packages: [gcc]}\n", "unknown key 'docker.system_packages'"),
        ("service: app:App\npython: {lock_packages: true}\n", "unknown key 'python.lock_packages'"),
        ("service: app:App\nenvs: [{name: 'A B', value: x}]\n", "envs"),
        ("service: app:App\nname: ../up\n", "'name' is '../up'"),
        ("services: app:App\n", "unknown key 'services'"),
    ],
)
def test_a_bentofile_says_what_a_release_can_keep(text, said):
    with pytest.raises(SettingsError, match=said):
        Bentofile.parse(text)


def test_every_supported_python_has_an_image_named_by_its_content():
    assert set(BASE_IMAGES) == {"3.11", "3.12", "3.13"}
    for python, image in BASE_IMAGES.items():
        assert f"python:{python}-slim" in image
        assert Bentofile.parse(f"service: a:A\ndocker: {{base_image: '{image}'}}\n").docker.base_image == image
