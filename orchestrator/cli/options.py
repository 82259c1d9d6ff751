"""Options that several verbs share."""

from typing import Annotated

import typer

Storage = Annotated[str, typer.Option("--storage", help="Folder or URI that holds everything of the runs.")]
DataDir = Annotated[str, typer.Option("--data-dir", help="Folder of the datasets.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        envvar="MLFLOW_TRACKING_URI",
        help="MLflow database or server; SQLite in the storage by default.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", help="A running cluster: http://head:8265 or ray://head:10001 from outside, auto from inside."
    ),
]
Cpus = Annotated[int | None, typer.Option("--cpus", help="CPU cores to use; all by default.", min=1)]
Slots = Annotated[
    int | None, typer.Option("--slots", help="Trials at once on a cluster that grows with the work.", min=1)
]
Executor = Annotated[
    str, typer.Option("--executor", help="ray, or local: in this process, one task after the other, without Ray.")
]
AcceptCode = Annotated[
    bool, typer.Option("--accept-code", help="Go on although code or packages differ; the report will say so.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")]
Plain = Annotated[bool, typer.Option("--plain", help="Lines instead of live tables.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON with the version of its schema.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors, and these to standard error.")]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Run the code of a method from outside the tree that lies in the run.")
]
Run = Annotated[str, typer.Argument(help="Name of a run, as `launch` printed it.")]

DEFAULT_STORAGE, DEFAULT_DATA = "runs", "data"
