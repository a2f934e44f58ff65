"""A contract type for import-linter: which third-party packages a package may import, and where.

import-linter's own types name what is forbidden; a new SDK would slip past such a list. This one names what is allowed.
"""

import sys
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

__all__ = ["ThirdPartyContract"]


class ThirdPartyContract(Contract):
    """`package` imports the packages in `everywhere` freely, those in `sole_importers` from one place, no others."""

    type_name = "third_party"

    package = fields.StringField()
    everywhere = fields.SetField(subfield=fields.StringField())
    sole_importers = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look at every import of a package that is neither ours nor Python's."""
        # import-linter puts the values where the fields stand, which no type checker can know.
        package, everywhere = str(self.package), cast("set[str]", self.everywhere)
        places = _places(cast("list[str]", self.sole_importers))
        ours = {module.partition(".")[0] for module in graph.modules if not graph.is_module_squashed(module)}
        problems = []
        for vendor in sorted(graph.modules):
            if not graph.is_module_squashed(vendor) or vendor in everywhere or vendor in ours:
                continue
            if vendor.partition(".")[0] in sys.stdlib_module_names:
                continue
            place = places.get(vendor)
            for importer in sorted(graph.find_modules_that_directly_import(vendor)):
                inside = place is not None and (importer == place or importer.startswith(f"{place}."))
                if importer.partition(".")[0] == package and not inside:
                    details = graph.get_import_details(importer=importer, imported=vendor)
                    line = min(detail["line_number"] for detail in details)
                    problems.append({"importer": importer, "vendor": vendor, "place": place, "line": line})
        return ContractCheck(kept=not problems, metadata={"problems": problems})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Say who imports what, and where that belongs."""
        for problem in check.metadata["problems"]:
            place = problem["place"] or "an integration of its own (then add it to sole_importers)"
            output.print_error(f"{problem['importer']} imports {problem['vendor']} (l.{problem['line']})", bold=True)
            output.print_error(f"  that belongs into {place}.", bold=False)


def _places(lines: list[str]) -> dict[str, str]:
    places: dict[str, str] = {}
    for line in lines:
        vendors, separator, place = line.partition(": ")
        if not separator:
            raise ValueError(f"sole_importers: {line!r} is not of the form 'vendor, vendor: module'")
        if place in places.values() and place.startswith("gitrain.integrations."):
            raise ValueError(f"sole_importers: {place} stands twice: name what belongs together on one line")
        places.update(dict.fromkeys(vendors.split(", "), place))
    return places
