"""Spans and metrics, seen by the SDK's own exporters in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import attrs
import httpx
import pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.fakes import JPEG, SECRET, TOKEN, FakeWeChat, client_of, error
from wxmedia_async import (
    AppToken,
    Finished,
    MediaClient,
    MediaNotFound,
    RateLimited,
    Retried,
    RetryPolicy,
    ServerBusy,
    Started,
)
from wxmedia_async.contrib.opentelemetry import instrument


@attrs.frozen
class Telemetry:
    """What was exported."""

    tracers: TracerProvider
    meters: MeterProvider
    _spans: InMemorySpanExporter
    _reader: InMemoryMetricReader

    @classmethod
    def new(cls) -> Telemetry:
        spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(spans))
        meters = MeterProvider([reader], shutdown_on_exit=False)
        return cls(tracers, meters, spans, reader)

    def watching(self, service: FakeWeChat, **options: Any) -> MediaClient:
        on_event = instrument(tracer_provider=self.tracers, meter_provider=self.meters)
        return client_of(service, on_event=on_event, **options)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    def points(self, name: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == f"wxmedia.client.{name}"
            for point in metric.data.data_points
        ]

    def everything(self) -> str:
        data = self._reader.get_metrics_data()
        spans = "".join(span.to_json() for span in self.spans)
        return spans + (data.to_json() if data else "")


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    told = Telemetry.new()
    yield told
    told.tracers.shutdown()
    told.meters.shutdown()


async def test_span_of_a_transfer(telemetry: Telemetry) -> None:
    """A transfer is a span of a client, under the one that is current."""
    tracer = telemetry.tracers.get_tracer("service")

    async with telemetry.watching(FakeWeChat({"ID": JPEG})) as client:
        with tracer.start_as_current_span("request") as parent:
            await client.read("ID")

    span = telemetry.spans[0]
    assert (span.name, span.kind) == ("wxmedia download", SpanKind.CLIENT)
    assert span.parent is not None
    assert span.parent.span_id == parent.get_span_context().span_id
    assert span.attributes is not None
    assert dict(span.attributes).items() >= {
        ("wxmedia.operation", "download"),
        ("wxmedia.platform", "mini_program"),
        ("wxmedia.media_id", "ID"),
        ("wxmedia.size", len(JPEG)),
        ("wxmedia.attempts", 1),
    }


async def test_span_of_a_failure(telemetry: Telemetry) -> None:
    """It says what failed, by type and errcode, and how often it was tried."""
    service = FakeWeChat(answers=[error(-1), error(40007)])
    retry = RetryPolicy(initial=0.0)

    async with telemetry.watching(service, retry=retry) as client:
        with pytest.raises(MediaNotFound):
            await client.read("ID")

    [span] = telemetry.spans
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "MediaNotFound"
    assert span.attributes["wxmedia.errcode"] == 40007
    [retry_event] = span.events
    assert retry_event.name == "retry"
    assert retry_event.attributes is not None
    assert retry_event.attributes["wxmedia.errcode"] == -1


async def test_no_span_is_left_open(telemetry: Telemetry) -> None:
    """Cancelled transfers end their spans, and are active no longer."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())

    async with telemetry.watching(service) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(client.read, "ID")
            await anyio.wait_all_tasks_blocked()
            [active] = telemetry.points("active_transfers")
            tasks.cancel_scope.cancel()

    [after] = telemetry.points("active_transfers")
    assert (active.value, after.value) == (10, 0)
    assert len(telemetry.spans) == 10


async def test_metrics_of_a_batch(telemetry: Telemetry, tmp_path: Any) -> None:
    """100 downloads with 10 more tries are counted as that."""
    ids = [f"m{number}" for number in range(100)]
    service = FakeWeChat(
        dict.fromkeys(ids, JPEG), answers=[error(-1) for _ in range(10)]
    )
    retry = RetryPolicy(attempts=20, initial=0.0)

    async with telemetry.watching(service, retry=retry) as client:
        async with client.download_many(ids, tmp_path) as outcomes:
            assert all([outcome.ok async for outcome in outcomes])

    [duration] = telemetry.points("transfer.duration")
    [size] = telemetry.points("transfer.size")
    assert (duration.count, size.sum) == (100, 100 * len(JPEG))
    assert duration.explicit_bounds[0] == 0.05
    assert sum(point.value for point in telemetry.points("retries")) == 10
    assert len(telemetry.spans) == 100
    assert sum(len(span.events) for span in telemetry.spans) == 10
    assert "wxmedia.media_id" not in duration.attributes


async def test_pause(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a transfer waits for its account is an event of its span, and no retry."""
    monkeypatch.setattr(RateLimited, "retry_after", 0.01)
    service = FakeWeChat({"ID": JPEG}, answers=[error(45011)])

    async with telemetry.watching(service) as client:
        await client.read("ID")

    [span] = telemetry.spans
    assert {event.name for event in span.events} == {"pause"}
    told = span.events[0].attributes
    assert told is not None
    assert isinstance(told["wxmedia.wait"], float)
    assert 0 < told["wxmedia.wait"] < 0.011  # a clock's differences are rounded
    assert telemetry.points("retries") == []


class Faulty(SpanProcessor):
    """Has something wrong with it."""

    def on_start(self, *_: object, **__: object) -> None:
        raise LookupError


def test_span_that_cannot_be_started(telemetry: Telemetry) -> None:
    """Where tracing fails at the start, what follows is measured all the same."""
    about: dict[str, Any] = {
        "transfer": 1,
        "operation": "download",
        "platform": "mini_program",
        "media_id": "ID",
        "attempt": 1,
    }
    telemetry.tracers.add_span_processor(Faulty())
    tell = instrument(
        tracer_provider=telemetry.tracers, meter_provider=telemetry.meters
    )

    with pytest.raises(LookupError):
        tell(Started(**about))
    tell(Retried(**about, error=ServerBusy(code=-1), wait=0.5))
    tell(Finished(**about, bytes=9, seconds=2.0, slot_wait=0.0))

    [active] = telemetry.points("active_transfers")
    [retries] = telemetry.points("retries")
    [duration] = telemetry.points("transfer.duration")
    assert (active.value, retries.value, duration.sum) == (0, 1, 2.0)
    assert telemetry.spans == []


async def test_renewals(telemetry: Telemetry) -> None:
    """A replaced token is counted, and its call is a transfer of its own."""
    service = FakeWeChat({"ID": JPEG})
    token = AppToken("wx1", SECRET, endpoint="token")

    async with telemetry.watching(service, token=token) as client:
        await client.read("ID")
        service.valid = "somebody's"
        await client.read("ID")

    [renewals] = telemetry.points("token.renewals")
    assert renewals.value == 1
    names = [span.name for span in telemetry.spans]
    assert names.count("wxmedia token") == 2
    assert names.count("wxmedia download") == 2


async def test_no_secret(telemetry: Telemetry) -> None:
    """No token and no secret is on anything, beside the instrumentation of httpx too."""
    service = FakeWeChat({"ID": JPEG}, answers=[])
    token = AppToken("wx1", SECRET, endpoint="token")
    http = httpx.AsyncClient(transport=service)
    HTTPXClientInstrumentor.instrument_client(http, tracer_provider=telemetry.tracers)

    async with telemetry.watching(service, token=token, http=http) as client:
        await client.read("ID")
        await client.upload(JPEG)
        with pytest.raises(MediaNotFound):
            await client.read("nowhere")

    told = telemetry.everything()
    assert TOKEN not in told
    assert SECRET not in told
    assert len(telemetry.spans) > 6


async def test_foreign_failures_are_not_quoted(telemetry: Telemetry) -> None:
    """What code of the user's raises is told by its type alone."""

    class Fails:
        async def put(self, *_: object, **__: object) -> str:
            raise LookupError("their secret")

    async with telemetry.watching(FakeWeChat({"ID": JPEG})) as client:
        with pytest.raises(LookupError):
            await client.download("ID", Fails())

    assert "their secret" not in telemetry.everything()
    assert "LookupError" in telemetry.everything()
