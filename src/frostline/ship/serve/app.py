"""The routes: what is asked at which path. Who may ask, ``security`` says; ``uploads`` reads the bodies."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Event
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from frostline import __version__
from frostline.data.views import EvaluationView
from frostline.errors import DecodeError, FrostlineError, one_line
from frostline.ship.model_info import identity, located
from frostline.ship.predictor import Predictor
from frostline.ship.serve import page
from frostline.ship.serve.batcher import SMALL, Batcher
from frostline.ship.serve.engines import engine
from frostline.ship.serve.heatmaps import Heatmaps, can_explain
from frostline.ship.serve.metrics import KIND, Metrics
from frostline.ship.serve.quota import Limits, Quota, Refused
from frostline.ship.serve.samples import Sample
from frostline.ship.serve.schemas import Answers, Fault, Json, answered
from frostline.ship.serve.security import SecurityMiddleware
from frostline.ship.serve.serving import Serving
from frostline.ship.serve.uploads import Upload, pixels, uploads

_TOLD = ("max_bytes", "max_pixels", "max_files", "request_pixels", "queue")
_MOST_THREADS = 8
T = TypeVar("T")
_MOST_COVERAGES = 16
_PICTURE = {"type": "string", "format": "binary"}
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"file": {"type": "array", "items": _PICTURE}}}
        },
        "image/*": {"schema": _PICTURE},
    },
}
_FAULTS: dict[int | str, dict[str, Any]] = {
    400: {"model": Fault, "description": "No picture in the request, or a damaged form."},
    408: {"model": Fault, "description": "The body came too slowly."},
    413: {"model": Fault, "description": "More bytes, pixels or files than the server takes."},
    415: {"model": Fault, "description": "The Content-Type is neither a picture's nor a form's."},
    422: {"model": Fault, "description": "Not one of the pictures can be decoded, or an option means nothing."},
    429: {"model": Fault, "description": "Too many pictures wait already: try again after Retry-After seconds."},
}


@dataclass(kw_only=True)
class Service:
    """What the routes share.

    digest: of the model. pixels: of large pictures that are accepted and not answered yet. alive: see ``create_app``.
    batcher: made when the event loop runs.
    """

    predictor: Predictor
    crowd: Sequence[Predictor]
    serving: Serving
    view: EvaluationView
    stopping: Event
    pictures: Quota
    memory: Quota
    maps: Quota
    figures: Metrics
    heat: Heatmaps | None
    painter: ThreadPoolExecutor
    pixels: Quota
    digest: str
    offered: Sequence[Sample]
    alive: Callable[[], None]
    batcher: Batcher | None = None

    @property
    def limits(self) -> Limits:
        """What clients may send."""
        return self.serving.limits


def create_app(
    predictor: Predictor,
    serving: Serving,
    *,
    crowd: Sequence[Predictor] = (),
    stopping: Event | None = None,
    offered: Sequence[Sample] = (),
    alive: Callable[[], None] = lambda: None,
) -> SecurityMiddleware:
    """A model as an ASGI application, to be run by `frostline serve` or mounted by another server.

    predictor: answers; nobody else may use it meanwhile.
    crowd: answer beside it, at the same time, when many ask; see ``engines.opened``.
    stopping: set by who runs it when it takes no more requests, so that `/health` says so.
    offered: pictures to click on; whoever may ask sees them.
    alive: called twice a second, as long as pictures that wait are being answered.
    """
    limits, digest = serving.limits, identity(predictor.about)
    pictures, memory = Quota(limits.queue, "pictures"), Quota(limits.memory, "bytes")
    heat = Heatmaps(located(serving.folder), trust=serving.trust, digest=digest) if can_explain() else None
    service = Service(
        predictor=predictor,
        crowd=crowd or [predictor],
        serving=serving,
        view=EvaluationView(predictor.about.preprocessing, max_pixels=limits.max_pixels),
        stopping=stopping or Event(),
        pictures=pictures,
        memory=memory,
        maps=Quota(4, "heat maps"),
        figures=Metrics(predictor.about, predictor.engine.name, pictures=pictures, memory=memory),
        heat=heat,
        painter=ThreadPoolExecutor(1, thread_name_prefix="heat"),
        pixels=Quota(limits.queue_pixels, "pixels"),
        digest=digest,
        offered=offered,
        alive=alive,
    )
    app = FastAPI(
        title="frostline",
        version=__version__,
        description=f"{one_line(predictor.about.name)}: what do pictures show?",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        exception_handlers=_FAULT_ANSWERS,
        redirect_slashes=False,  # nothing that a client wrote comes back as an address
    )
    app.state.service = service
    app.include_router(_routes)
    app.include_router(page.routes)
    return SecurityMiddleware(app, hosts=serving.hosts, token=serving.token, observe=service.figures.request)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    wants = service.predictor.about.preprocessing
    alone, crowd = engine(service.predictor), [engine(answering) for answering in service.crowd]
    for look in (alone, *crowd):
        look(np.zeros((1, *wants.size, wants.channels), np.uint8))  # the first run allocates
    service.batcher = Batcher(
        service.view,
        alone,
        crowd,
        room=service.pictures,
        threads=min(service.serving.cores, _MOST_THREADS),
        observe=service.figures.batch,
    )
    heart = asyncio.create_task(_beating(service))
    yield
    heart.cancel()
    await asyncio.to_thread(service.batcher.close)
    service.painter.shutdown()


async def _beating(service: Service) -> None:
    while True:
        if not _stalled(service):
            service.alive()
        await asyncio.sleep(0.5)


def _stalled(service: Service) -> bool:
    return service.batcher is not None and service.batcher.idle_seconds() > service.limits.hung


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What comes of the work, which ends when its client hangs up.

    Raises: ClientDisconnect: it did.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    doing, leaving = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientDisconnect
        return doing.result()
    finally:
        for task in (doing, leaving):
            task.cancel()


async def _costs(sent: Sequence[Upload], limits: Limits) -> list[int]:
    """Pixels of each picture of a request, by their headers.

    Raises: Refused: there are more than one request may ask for.
    """
    each = await asyncio.to_thread(lambda: [pixels(upload.data, limits.max_pixels) for upload in sent])
    if (total := sum(each)) > limits.request_pixels:
        raise Refused(
            413, f"{total:,} pixels, more than {limits.request_pixels:,}", hint="send them in several requests"
        )
    return each


_routes = APIRouter()

_Top = Annotated[int, Query(ge=1, le=1000, description="How many classes to name.")]
_Coverage = Annotated[
    list[float] | None,
    Query(
        max_length=_MOST_COVERAGES, description="How often a set of classes must hold the right one: 0.9. Repeatable."
    ),
]


@_routes.post("/predict", response_model=Answers, responses=_FAULTS, openapi_extra={"requestBody": _BODY})
async def predict(request: Request, top: _Top = 5, coverage: _Coverage = None) -> Response:
    """Say what one or many pictures show.

    A picture that cannot be read is told in its place, and the others are answered; if none can be read, the status is
    422 (413 for one with too many pixels).
    """
    service: Service = request.app.state.service
    coverages = coverage or []
    if not all(0 < c < 1 for c in coverages):
        raise Refused(422, "a coverage is between 0 and 1", hint="coverage=0.9")
    if service.pictures.taken >= service.pictures.limit:  # before a byte of the body is read
        raise service.pictures.refusal()
    assert service.batcher is not None
    with service.memory.guest() as held:
        sent = await uploads(request, service.limits, held)
        with service.pixels.guest() as taken:
            costs = await _costs(sent, service.limits)
            if sum(costs) > SMALL:  # what giants have taken leaves room for small ones: their number is bounded too
                taken.take(sum(costs))
            found = await _unless_gone(request, service.batcher.answer([upload.data for upload in sent], costs))
    faults = [seen for seen in found if isinstance(seen, DecodeError)]
    service.figures.pictures(answered=len(found) - len(faults), unreadable=len(faults))
    if len(faults) == len(found):
        raise _unreadable(faults[0])
    about, top = service.predictor.about, min(top, len(service.predictor.about.classes))
    return Json(
        {
            "model": service.digest,
            "results": [
                answered(upload.name, seen, about, top=top, coverages=coverages)
                for upload, seen in zip(sent, found, strict=True)
            ],
        }
    )


@_routes.post(
    "/explain",
    responses={**_FAULTS, 200: {"content": {"image/png": {}}}, 501: {"model": Fault, "description": "It cannot."}},
    response_class=Response,
    openapi_extra={"requestBody": _BODY},
)
async def explain(request: Request, label: str | None = None) -> Response:
    """Draw where in a picture the evidence for a class lies: a PNG of what the network sees, with the heat over it.

    label: a class; the likeliest one without it.
    """
    service: Service = request.app.state.service
    if service.heat is None:
        raise Refused(501, "this server draws no heat maps", hint="they need torch: pip install frostline")
    classes = service.predictor.about.classes
    if label is not None and label not in classes:
        raise Refused(422, "there is no such class", hint="GET /info lists them")
    loop = asyncio.get_running_loop()
    if service.maps.taken >= service.maps.limit:  # before a byte of the body is read
        raise service.maps.refusal()
    with service.maps.guest() as place, service.memory.guest() as held:
        sent = await uploads(request, service.limits, held)
        if len(sent) > 1:
            raise Refused(400, "a heat map is of one picture", hint="send them one by one")
        place.take(1)  # who sends slowly keeps nobody waiting
        try:
            pixels = await loop.run_in_executor(service.painter, service.view, sent[0].data)
        except DecodeError as error:
            raise _unreadable(error) from None
        try:
            png = await loop.run_in_executor(
                service.painter, service.heat.drawn, pixels, None if label is None else classes.index(label)
            )
        except FrostlineError as error:
            raise Refused(501, error.what) from None
    return Response(png, media_type="image/png", headers={"x-model": service.digest})


@_routes.get("/health", responses={503: {"description": "It takes no more requests."}})
async def health(request: Request) -> Response:
    """Tell whether the process lives, and whether it takes requests (status 503 if not)."""
    service: Service = request.app.state.service
    ready = service.batcher is not None and not service.stopping.is_set() and not _stalled(service)
    return Json({"alive": True, "ready": ready, "waiting": service.pictures.taken}, 200 if ready else 503)


@_routes.get("/info")
async def info(request: Request) -> Response:
    """Tell what the model is, how well it did, and what a request may hold."""
    service: Service = request.app.state.service
    about, limits = service.predictor.about, service.limits
    return Json(
        {
            "model": about.name,
            "digest": service.digest,
            "classes": list(about.classes),
            "multilabel": about.multilabel,
            "metrics": about.metrics,
            "engine": service.predictor.engine.name,
            "size": list(about.preprocessing.size),
            "sets": about.sets is not None,
            "novelty": about.novelty is not None,
            "explain": service.heat is not None,
            "samples": [sample.name for sample in service.offered],
            "samples_unseen": all(sample.unseen for sample in service.offered),
            "limits": {name: getattr(limits, name) for name in _TOLD},
            "frostline": __version__,
        }
    )


@_routes.get("/samples/{number}", responses={200: {"content": {"image/jpeg": {}}}}, response_class=Response)
async def sample(request: Request, number: int) -> Response:
    """Give a picture to try: one of those that `/info` names."""
    service: Service = request.app.state.service
    if not 0 <= number < len(service.offered):
        raise Refused(404, "there is no such picture", hint="GET /info names them")
    return Response(service.offered[number].jpeg, media_type="image/jpeg")


@_routes.get("/metrics")
async def metrics(request: Request) -> Response:
    """Count requests, pictures and batches of the worker that answers, in Prometheus' text form."""
    service: Service = request.app.state.service
    return Response(service.figures.text(), headers={"content-type": KIND})


def _unreadable(error: DecodeError) -> Refused:
    return Refused(413 if "more than the limit" in error.what else 422, error.what, hint=error.hint)


async def _frostline_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, FrostlineError)
    if not isinstance(error, Refused):
        print(f"error: {error}", file=sys.stderr, flush=True)
        return Json({"error": "the server failed", "hint": "its operator finds the reason on its standard error"}, 500)
    headers = {} if error.retry is None else {"retry-after": str(error.retry)}
    return Json({"error": error.what, "hint": error.hint}, error.status, headers=headers)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = one_line(str(first["loc"][-1]))[:40]
    return Json({"error": f"{name}: {first['msg']}", "hint": "/docs says what may be asked"}, 422)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    hint = "/docs says what may be asked"
    return Json({"error": error.detail, "hint": hint}, error.status_code, headers=error.headers)


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # nobody is there to read it


_FAULT_ANSWERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    FrostlineError: _frostline_error,
    RequestValidationError: _invalid,
    HTTPException: _http_error,
    ClientDisconnect: _gone,
}
