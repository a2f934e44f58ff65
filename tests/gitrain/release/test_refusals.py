from pathlib import Path

from tests.gitrain.release.packages import Packages

from gitrain.release.imports import Imports
from gitrain.release.refusals import judge_imports, judge_models, judge_rebuilt, judge_served_imports
from gitrain.release.requirements import parse_requirements
from gitrain.verdicts import Outcome

CONTEXT, LIBRARIES = Path("/context"), (Path("/venv/lib"), Path("/python/lib"))
NONE: frozenset[str] = frozenset()


def imports(*at_once, ever=()):
    return Imports(at_once=frozenset(at_once), ever=frozenset({*at_once, *ever}))


def served(modules, sources, *, names=("numpy", "scikit-learn"), packed=("app",)):
    return judge_served_imports(
        {name: Path(file) for name, file in modules.items()},
        sources,
        Packages(modules={"sklearn": {"scikit-learn"}}),
        context=CONTEXT,
        libraries=LIBRARIES,
        names=set(names),
        packed=set(packed),
    )


def test_a_service_of_packed_sources_and_installed_packages_passes():
    modules = {
        "app": "/context/app/__init__.py",
        "app.service": "/context/app/service.py",
        "sklearn.tree": "/venv/lib/sklearn/tree.py",
        "json": "/python/lib/json.py",
    }
    sources = {"app/__init__.py": imports("numpy"), "app/service.py": imports("sklearn", "app")}

    assert served(modules, sources).outcome is Outcome.PASSED


def test_what_is_imported_from_elsewhere_is_refused():
    verdict = served({"extra": "/elsewhere/extra.py"}, {})

    assert verdict.outcome is Outcome.FAILED
    assert verdict.reason == "extra was imported from /elsewhere/extra.py, which is not part of the bundle"


def test_a_packed_package_that_came_from_an_installed_one_is_refused():
    assert served({"app.old": "/venv/lib/app/old.py"}, {}).outcome is Outcome.FAILED


def test_a_package_from_a_tree_that_the_bundle_installs_passes():
    assert served({"gitrain": "/tree/src/gitrain/__init__.py"}, {}, names=("gitrain",)).outcome is Outcome.PASSED


def test_a_source_that_needs_what_the_bundle_does_not_install_is_refused_if_it_is_used():
    modules = {"app": "/context/app/__init__.py"}
    sources = {"app/__init__.py": imports("pandas"), "app/unused.py": imports("torch")}

    verdict = served(modules, sources)

    assert verdict.outcome is Outcome.FAILED
    assert verdict.reason.startswith("app/__init__.py imports pandas, which the bundle does not install")
    assert "torch" not in verdict.reason


def test_imports_in_functions_have_to_be_locked_too():
    entries = parse_requirements(f"numpy==1 --hash=sha256:{'a' * 64}\n")
    sources = {"a.py": imports("numpy", ever=("torch",)), "b.py": imports("app", ever=("gone",))}

    verdict = judge_imports(sources, Packages(modules={"gone": NONE}), entries, packed={"app"})

    assert verdict.outcome is Outcome.FAILED
    assert "b.py imports gone, which no installed package has; a.py imports torch of torch, which" in verdict.reason
    assert judge_imports({"a.py": imports("numpy")}, Packages(), entries, packed=NONE).outcome is Outcome.PASSED


def models(**values):
    given = {
        "problems": (),
        "remade": (),
        "digests": {"models/model.skops": "sha256:1", "models/serving/model.onnx": "sha256:2"},
        "described": {
            "models/model.json: models/model.skops": "sha256:1",
            "models/serving.json: models/serving/model.onnx": "sha256:2",
        },
        "served": ["models/serving/model.onnx"],
        "served_path": "models/serving/model.onnx",
    }
    return judge_models(**(given | values))


def test_models_are_those_that_the_manifests_describe():
    assert models().outcome is Outcome.PASSED
    assert models(remade=("train",)).reason.endswith("nobody had them, and running train again gave the very same")
    assert "has sha256:1" in models(described={"models/model.json: models/model.skops": "sha256:9"}).reason


def test_two_files_that_could_be_served_are_refused():
    both = ["models/serving/model.onnx", "models/serving/model.skops"]

    assert "models/serving.json names models/serving/model.onnx alone" in models(served=both).reason
    assert models(served=[]).outcome is Outcome.FAILED


def test_another_bundle_of_a_released_commit_is_refused_with_what_differs():
    assert judge_rebuilt("1.0.0", found="sha256:1", recorded="sha256:1", different=()).outcome is Outcome.PASSED
    verdict = judge_rebuilt("1.0.0", found="sha256:1", recorded="sha256:2", different=["schema_digest"])
    assert verdict.outcome is Outcome.FAILED
    assert "its release.json differs in schema_digest)" in verdict.reason
