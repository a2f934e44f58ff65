"""ruamel.yaml: edits of YAML files that keep comments, quotes and layout."""

import io
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import ScalarString

from gitrain.errors import SettingsError
from gitrain.integrations.files import replacing

__all__ = ["YamlFile"]


@dataclass(frozen=True)
class YamlFile:
    """A YAML file that people edit too."""

    path: Path

    def change(self, key: str, value: str) -> None:
        """Set the value of a dotted key that is there already; everything else stays byte for byte where YAML allows.

        Raises:
            SettingsError: the file is missing or no YAML, or has no such key.
        """
        yaml = YAML()
        yaml.preserve_quotes = True
        yaml.width = 4096
        try:
            content = self.path.read_text(encoding="utf-8")
            document = yaml.load(content)
        except (OSError, YAMLError) as error:
            raise SettingsError(f"{self.path.name} cannot be read: {error}", fix="correct the file.") from error
        yaml.indent(**_indentation(content))
        *parents, last = key.split(".")
        section = document
        for part in parents:
            section = section.get(part) if isinstance(section, dict) else None
        if not isinstance(section, dict) or last not in section:
            raise SettingsError(f"{self.path.name} has no key {key!r}", fix=f"add {key!r} to it.")
        old = section[last]
        section[last] = type(old)(value) if isinstance(old, ScalarString) else value
        buffer = io.StringIO()
        yaml.dump(document, buffer)
        with replacing(self.path) as stream:
            stream.write(buffer.getvalue().encode())


def _indentation(content: str) -> dict[str, int]:
    """The indentation of lists in a file: ruamel.yaml writes one style for the whole of it."""
    indented = any(line.lstrip().startswith("- ") and line.startswith("  ") for line in content.splitlines())
    return {"mapping": 2, "sequence": 4, "offset": 2} if indented else {"mapping": 2, "sequence": 2, "offset": 0}
