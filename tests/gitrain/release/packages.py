"""Installed packages, made up."""

from gitrain.release.requirements import Need


class Packages:
    """Packages by what they need, their versions (1.0 if none are given), and the modules of other names in them.

    Args:
        needs: by package, each need with the extra that it belongs to (empty for none).
        versions: by package.
        modules: by module, the packages that it comes from; others come from the package of their own name.
    """

    def __init__(self, needs=None, versions=None, modules=None):
        self.graph, self.versions, self.modules = needs or {}, versions, modules or {}

    def version(self, name):
        return "1.0" if self.versions is None else self.versions.get(name)

    def needs(self, name, extras):
        return [need for extra, need in self.graph.get(name, ()) if extra == "" or extra in extras]

    def read(self, requirement):
        return Need(name=requirement)

    def applies(self, marker):
        return "<" in marker

    def providers(self, module):
        return self.modules.get(module, {module})

    def from_source(self, name, pyproject, *, without):
        return self
