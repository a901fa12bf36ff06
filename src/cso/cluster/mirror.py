"""A run at an address that fsspec knows (s3://, gs://, file://), of which each process has what it is at as files."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, cast

from cso.errors import InputError, StoreError
from cso.files import remove, replacing

fsspec = cast(Any, import_module("fsspec"))  # it has no types
SHARED = ("settings.yaml", "taxonomy.yaml", "seeds.jsonl")  # of a run, besides what belongs to one dialogue


class Mirror:
    """Copies files, by their names in the run, between an address and a folder."""

    def __init__(self, address: str, folder: Path) -> None:
        """Raises InputError for an address whose kind needs a package that is not there."""
        self.address, self.folder = address.rstrip("/"), folder
        try:
            self._system, self._root = fsspec.core.url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            raise InputError(f"{address}: expected an address that fsspec can open: {error}") from error

    def fetch(self, *names: str) -> None:
        """Copy files here; those that are not there are left out. Raises StoreError."""
        for name in names:
            target = self.folder / name
            if not target.resolve().is_relative_to(self.folder.resolve()):
                raise StoreError(f"{self.address}: expected names of files in a run, found {name!r}")
            try:
                if not self._system.exists(f"{self._root}/{name}"):
                    remove(target)
                    continue
                with replacing(target) as draft:
                    self._system.get_file(f"{self._root}/{name}", str(draft))
            except StoreError:
                raise
            except Exception as error:
                raise StoreError(f"{self.address}/{name}: cannot be read: {error}") from error

    def send(self, *names: str) -> None:
        """Copy files there. Raises StoreError."""
        for name in names:
            place = f"{self._root}/{name}"
            try:
                self._system.makedirs(place.rpartition("/")[0], exist_ok=True)
                self._system.put_file(str(self.folder / name), place)
            except Exception as error:
                raise StoreError(f"{self.address}/{name}: cannot be written: {error}") from error

    def size(self, name: str) -> int:
        """Bytes of a file that is there."""
        return int(self._system.size(f"{self._root}/{name}"))

    def names(self) -> list[str]:
        """Every file that is there."""
        root = self._root.rstrip("/")
        try:
            return [name.removeprefix(f"{root}/") for name in self._system.find(root)]
        except Exception as error:
            raise StoreError(f"{self.address}: cannot be read: {error}") from error
