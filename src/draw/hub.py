"""Downloads from the Hugging Face Hub, with an answer within seconds where there is no network."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from draw.errors import DrawError

logger = logging.getLogger("draw")

Repository = Literal["dataset", "model"]

SECONDS_TO_ANSWER = 5.0


def fetch(name: str, kind: Repository, patterns: Sequence[str], choices: str) -> Path:
    """Download files of a repository; they stay in the Hub's own cache, shared with other programs.

    Args:
        name: owner/name of the repository.
        kind: kind of repository: model or dataset.
        patterns: patterns of the names of the files.
        choices: what the user can do where the Hub cannot be reached, for the message.

    Returns:
        The folder that holds the files. Without a network it is that of an earlier download.

    Raises:
        DrawError: the Hub cannot be reached and the files were not fetched before, there is no such
            repository, or access to it must be asked for.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    silence: Exception | None = None
    try:
        silence = _silence(name, kind)
        logger.info("fetching %s from the Hugging Face Hub", name)
        folder = snapshot_download(
            name,
            repo_type=kind,
            allow_patterns=list(patterns),
            local_files_only=silence is not None,
        )
        return Path(folder)
    except GatedRepoError as error:
        raise DrawError(
            f"{name} is on the Hugging Face Hub, but access must be asked for: do so on its page "
            "there, then run `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise DrawError(
            f"expected a {kind} on the Hugging Face Hub (or a folder here) named {name}, found "
            "neither; check the spelling, or run `hf auth login` if it is private"
        ) from error
    except Exception as error:  # of the HTTP client underneath, or of a full disk
        what = "fetching it from the Hugging Face Hub failed"
        if silence is not None:
            what = "the Hugging Face Hub could not be reached"
        reason = str(silence or error).partition("\n")[0] or type(silence or error).__name__
        raise DrawError(
            f"{name} is not on this computer, and {what} ({reason}). {choices}"
        ) from error


def _silence(name: str, kind: Repository) -> Exception | None:
    """Why the Hub does not answer, found out within seconds; None if it does.

    Raises:
        RepositoryNotFoundError: it answers that it has no such repository.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    api = HfApi()
    ask = api.dataset_info if kind == "dataset" else api.model_info
    try:
        ask(name, timeout=SECONDS_TO_ANSWER)
    except RepositoryNotFoundError:  # and GatedRepoError, which is one
        raise
    except Exception as error:  # no network, no answer, an answer that is no sense
        return error
    return None
