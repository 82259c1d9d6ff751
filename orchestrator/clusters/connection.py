"""Reaching a cluster from outside: its address, its token and its versions, each wrong one with what to do about it."""

import os
from pathlib import Path
from typing import Any

from workloads.errors import Kind, UserError

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
ADDRESSES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
TIMEOUT_S = 10.0


def is_remote(address: str | None) -> bool:
    """Whether work is handed in from outside, through the cluster's job server."""
    return address is not None and address.startswith(("http://", "https://", "ray://"))


def check_address(address: str | None) -> None:
    """Raises UserError (exit 2) for an address that is none of the kinds there are."""
    if address is None or address == "auto" or is_remote(address):
        return
    raise UserError(
        f"--address {address!r} is no cluster's",
        fix="http://HEAD:8265 (its job server), ray://HEAD:10001 (Ray client), or auto (on a machine of the cluster)",
    )


def own_token() -> bool:
    """Whether a token is where Ray looks for one: two environment variables, then ~/.ray/auth_token."""
    if os.environ.get(TOKEN):
        return True
    path = Path(os.environ.get(TOKEN_PATH) or Path.home() / ".ray" / "auth_token")
    return path.is_file() and bool(path.read_text().strip())


def read_authentication_again() -> None:
    """Ray reads mode and token once a process; after this it has them as the environment does now."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")  # first: a thread that asked in between would end the process where there is no token
    AuthenticationTokenLoader.instance().reset_cache()


def settle_authentication(address: str) -> None:
    """Set RAY_AUTH_MODE as the cluster has it, since a mismatch is cryptic.

    The job server is asked without a token: what it answers says whether it wants one. Raises UserError where a token
    is wanted and there is none, or RAY_AUTH_MODE says that none is to be sent.
    """
    if address.startswith("ray://"):
        os.environ.setdefault(MODE, "token" if own_token() else "disabled")
        return
    wanted = wants_token(address)
    if not wanted:
        os.environ.setdefault(MODE, "disabled")
        return
    how = f"put the cluster's token into ~/.ray/auth_token, or its file's path into {TOKEN_PATH}"
    if os.environ.get(MODE, "token").lower() != "token":
        raise UserError(
            f"the cluster at {address} asks for a token, and {MODE}={os.environ[MODE]}",
            fix=f"export {MODE}=token; {how}",
            kind=Kind.ENVIRONMENT,
        )
    if not own_token():
        raise UserError(
            f"the cluster at {address} asks for a token, and there is none here", fix=how, kind=Kind.ENVIRONMENT
        )
    os.environ[MODE] = "token"


def wants_token(address: str) -> bool:
    """Ask the job server. Raises UserError where nothing, or something else, answers."""
    import requests

    fix = "is the cluster up, and is its port 8265 forwarded (`ray dashboard FILE`, `kubectl port-forward`)?"
    try:
        answer = requests.get(f"{address}/api/version", timeout=TIMEOUT_S)
    except requests.RequestException as error:
        raise UserError(
            f"no cluster answers at {address}", details=type(error).__name__, fix=fix, kind=Kind.ENVIRONMENT
        ) from None
    if answer.status_code in (401, 403):
        return True
    if answer.status_code != 200 or "ray_version" not in answer.text:
        raise UserError(
            f"what answers at {address} is no Ray job server (HTTP {answer.status_code})",
            fix=fix,
            kind=Kind.ENVIRONMENT,
        )
    return False


def connect(address: str) -> Any:
    """A client of the cluster's job server. Raises UserError for a wrong address, token or version."""
    check_address(address)
    address = address.rstrip("/")
    for name in ADDRESSES:  # Ray's client would obey them, not the address it is given
        os.environ.pop(name, None)
    settle_authentication(address)
    read_authentication_again()
    import ray
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    try:
        client = JobSubmissionClient(address)
        theirs = client._server_ray_version  # the constructor has just asked
    except AuthenticationError:
        fix = "~/.ray/auth_token must hold the cluster's token, not one made here"
        raise UserError(f"the cluster at {address} refuses the token", fix=fix, kind=Kind.ENVIRONMENT) from None
    except (RuntimeError, ConnectionError) as error:
        raise unreachable(address, error) from None
    if theirs and theirs != ray.__version__:
        raise other_version(theirs, ray.__version__)
    return client


def unreachable(address: str, error: Exception) -> UserError:
    """Ray's own words, shortened; a mismatch of versions by name."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()] or [type(error).__name__]
    if any("ersion mismatch" in line for line in lines):
        return UserError(
            f"the cluster at {address} runs other versions than this environment",
            details="\n".join(lines[:6]),
            fix="install the cluster's Ray and Python here, or run from its image",
            kind=Kind.ENVIRONMENT,
        )
    if any("uthenticat" in line for line in lines):
        return UserError(
            f"the cluster at {address} wants another token",
            details=lines[0][:300],
            fix=f"see {TOKEN_PATH} and {MODE}",
            kind=Kind.ENVIRONMENT,
        )
    return UserError(f"no cluster could be joined at {address}", details=lines[0][:300], kind=Kind.ENVIRONMENT)


def other_version(theirs: str, ours: str) -> UserError:
    return UserError(
        f"the cluster runs Ray {theirs}, and Ray {ours} is installed here",
        fix=f"pip install 'ray[default,data,train,tune]=={theirs}', or start the cluster with an image of Ray {ours}",
        kind=Kind.ENVIRONMENT,
    )
