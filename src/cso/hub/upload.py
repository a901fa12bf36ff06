"""A folder on its way to the hub, by the hub's own client: its token, its HF_ENDPOINT. Imported late: it takes time."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from huggingface_hub import DatasetCard, HfApi, ModelCard, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage]: of whichever library the client asks with
)
from huggingface_hub.utils import disable_progress_bars, validate_repo_id

from cso.errors import EndpointError, InputError
from cso.hub.contents import CARD

Kind = Literal["dataset", "model"]


def check_repo_id(repo_id: str) -> None:
    """Raises InputError for a name that no repository of a hub can have."""
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InputError(f"{repo_id}: expected a repository as OWNER/NAME; {error}") from error


def upload(folder: Path, repo_id: str, kind: Kind, *, private: bool, revision: str | None, message: str) -> str:
    """Put all files of `folder` into a repository, which is made where it is not there; its address.

    Files of the same names are replaced there, others stay. Raises InputError for what the hub refuses, EndpointError
    where it cannot be reached.
    """
    if not sys.stderr.isatty():
        disable_progress_bars()
    api = HfApi()
    with _errors(api.endpoint, repo_id):
        card = (DatasetCard if kind == "dataset" else ModelCard)((folder / CARD).read_text(encoding="utf-8"))
        card.validate(repo_type=kind)  # before anything is made
        place = api.create_repo(repo_id, repo_type=kind, private=private or None, exist_ok=True)
        if private and not api.repo_info(place.repo_id, repo_type=kind).private:
            raise InputError(
                f"{place}: it is there already and is public: make it private there, or choose another name"
            )
        if revision is not None and not revision.startswith("refs/"):
            api.create_branch(place.repo_id, repo_type=kind, branch=revision, exist_ok=True)
        api.upload_folder(
            repo_id=place.repo_id, repo_type=kind, folder_path=folder, revision=revision, commit_message=message
        )
    return str(place)


@contextmanager
def _errors(hub: str, repo_id: str) -> Generator[None]:
    """The client's errors as ours, each on one line. (RuntimeError is what its transfer of large files raises.)"""
    try:
        yield
    except HfHubHTTPError as error:
        raise _refused(hub, repo_id, error) from error
    except ValueError as error:
        raise InputError(f"{hub} refuses the card or the name of {repo_id}: {_line(error)}") from error
    except (HTTPError, OSError, RuntimeError) as error:
        if isinstance(error.__cause__, HfHubHTTPError):
            raise _refused(hub, repo_id, error.__cause__) from error
        raise EndpointError(
            f"{hub} cannot be reached, or broke off ({_line(error)}); the same command goes on with what is missing"
        ) from error


def _refused(hub: str, repo_id: str, error: HfHubHTTPError) -> InputError | EndpointError:
    status = error.response.status_code
    said = " ".join((error.server_message or _line(error)).split())
    match status:
        case 401 | 403 if get_token() is None:
            return InputError(
                f"{hub} lets nobody in (status {status}): not logged in; `hf auth login`, or set HF_TOKEN"
            )
        case 401:
            return InputError(f"{hub} did not accept the token (status 401): {said}; `hf auth login`, or set HF_TOKEN")
        case 403:
            return InputError(f"{hub}: this token may not write {repo_id} (status 403): {said}")
        case 404:
            return InputError(f"{hub} has no {repo_id}, or does not show it to this token (status 404): {said}")
        case _ if status >= 500 or status == 429:
            return EndpointError(f"{hub} failed (status {status}): {said}; the same command goes on, later")
        case _:
            return InputError(f"{hub} refuses {repo_id} (status {status}): {said}")


def _line(error: BaseException) -> str:
    """An error and what it came from, on one line."""
    words = " ".join(str(error).split()) or type(error).__name__
    return f"{words} {_line(error.__cause__)}" if isinstance(error, RuntimeError) and error.__cause__ else words
