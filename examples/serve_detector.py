"""A run's detector behind HTTP, by Ray Serve: as many replicas as the requests ask for, images scored together.

    pip install 'ray[serve]'
    RUN=my_run STORAGE=runs serve run examples.serve_detector:app
    curl --data-binary @photo.png 'localhost:8000/?false_alarms=0.05'

The answer is JSON: decision, score and p_value, as `predict` writes them; or, with status 400, what is wrong.
"""

import os
from io import BytesIO

from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

import orchestrator
from workloads.scoring.thresholds import as_scored


@serve.deployment(num_replicas="auto", max_ongoing_requests=64)
class Decider:
    """One replica: a detector in memory."""

    def __init__(self, run: str, storage: str) -> None:
        self.detector = orchestrator.load(run, storage=storage)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.01)
    async def score(self, images: list) -> list:
        """Of the images of all requests that wait."""
        return list(as_scored(self.detector.score(images)))

    async def __call__(self, request: Request) -> JSONResponse:
        try:
            threshold = self.detector.threshold(float(request.query_params.get("false_alarms", 0.01)))
            image = self.detector.read(BytesIO(await request.body()), "the body of the request")
        except (orchestrator.UserError, ValueError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        score = await self.score(image)
        (p_value,) = self.detector.normals.p_values([score])
        decision = "anomalous" if score > threshold.value else "normal"
        return JSONResponse({"decision": decision, "score": float(score), "p_value": float(p_value)})


app = Decider.bind(os.environ.get("RUN", "RUN"), os.environ.get("STORAGE", "runs"))
