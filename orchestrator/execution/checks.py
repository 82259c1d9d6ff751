"""Whether a run may go on with the code of today: what differs, by name."""

from collections.abc import Sequence

from orchestrator.planning.identity import Identity
from workloads.errors import Kind, UserError

LISTED = 8  # differences in a message
NOT_KEPT = "all modules: an earlier version kept one digest of them"


def check_same_code(before: Identity, after: Identity, run: str, top: str, accept_code: bool) -> None:
    """Raises UserError, which names modules and packages, where code differs and is not accepted.

    top: the top module of a method from outside the tree, which the run has a copy of that `resume` takes; else empty.
    """
    changed = changed_modules(before, after)
    edited = [name for name in changed if top and name.partition(" ")[0].partition(".")[0] == top]
    if edited and not accept_code:
        raise UserError(
            f"the run {run!r} has another copy of its method's code",
            details=f"what differs: {listing(edited)}",
            fix=f"`resume {run}` goes on with the run's copy; launch the edited method under another --name",
            kind=Kind.REFUSED,
        )
    if not accept_code and not before.same_code(after):
        raise other_code(run, [*changed, *changed_packages(before, after)])


def check_kept_modules(identity: Identity, run: str, accept_code: bool) -> None:
    """Raises UserError, before any image is read, for a run of an earlier version, whose code differs in any case."""
    if not accept_code and not identity.modules:
        raise other_code(run, [NOT_KEPT])


def other_code(run: str, listed: Sequence[str]) -> UserError:
    return UserError(
        f"the run {run!r} was made with other code",
        details=f"what differs: {listing(listed)}",
        fix=f"`resume {run} --accept-code` goes on with the code of today, which the report will say; "
        "or launch it under another --name",
        kind=Kind.REFUSED,
    )


def listing(names: Sequence[str]) -> str:
    more = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def changed_modules(before: Identity, after: Identity) -> list[str]:
    """Names of the modules that differ, and what happened to those that only one of the two has."""
    if before.code != after.code and not before.modules:
        return [NOT_KEPT]
    names = sorted(before.modules.keys() | after.modules.keys())
    changed = [name for name in names if before.modules.get(name) != after.modules.get(name)]
    notes = {name: " (new)" for name in changed if name not in before.modules}
    notes |= {name: " (gone)" for name in changed if name not in after.modules}
    baselines = [] if before.baselines_code == after.baselines_code else ["the baselines' code"]
    return [*(f"{name}{notes.get(name, '')}" for name in changed), *baselines]


def changed_packages(before: Identity, after: Identity) -> list[str]:
    """The packages whose versions differ, with both; none of a run that did not keep them."""
    names = sorted(before.packages.keys() | after.packages.keys()) if before.packages else []
    pairs = {name: (before.packages.get(name, "none"), after.packages.get(name, "none")) for name in names}
    return [f"{name} {old} -> {new}" for name, (old, new) in pairs.items() if old != new]
