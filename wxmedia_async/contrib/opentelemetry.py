"""Spans and metrics of transfers. Needs ``pip install wxmedia_async[opentelemetry]``."""

from __future__ import annotations

from collections.abc import Callable

import attrs

try:
    from opentelemetry import metrics, trace
except ImportError as _error:  # pragma: no cover - seen without the library only
    raise ImportError(
        "contrib.opentelemetry needs: pip install 'wxmedia_async[opentelemetry]'"
    ) from _error

from .._errors import APIError, MediaError
from .._events import (
    Event,
    Failed,
    Finished,
    Paused,
    Renewed,
    Retried,
    Started,
)

_NAME = "wxmedia_async"

# From a small file on a good day to the longest that a default deadline allows.
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

Attributes = dict[str, str | int | float]


def instrument(
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> Callable[[Event], None]:
    """
    Return what to give a `MediaClient` as ``on_event``.

    Each transfer is a span, a child of the one that is current where it starts; another
    try, a renewed token and a pause are events of it. Spans are not made current: a
    stream may be left in another task than it was entered in.

    Metrics: ``wxmedia.client.transfer.duration`` (s), ``.transfer.size`` (By),
    ``.active_transfers``, ``.retries`` and ``.token.renewals``. A media_id is on spans
    only; no token or secret is on anything.

    Args:
        tracer_provider: None: the global one.

        meter_provider: None: the global one.
    """
    tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
    meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
    return _Instruments(tracer, _Meters.of(meter)).on_event


@attrs.frozen
class _Meters:
    duration: metrics.Histogram
    size: metrics.Histogram
    active: metrics.UpDownCounter
    retries: metrics.Counter
    renewals: metrics.Counter

    @classmethod
    def of(cls, meter: metrics.Meter) -> _Meters:
        return cls(
            meter.create_histogram(
                "wxmedia.client.transfer.duration",
                unit="s",
                description="From the start of a transfer to its end.",
                explicit_bucket_boundaries_advisory=_SECONDS,
            ),
            meter.create_histogram(
                "wxmedia.client.transfer.size",
                unit="By",
                description="Bytes of the media that were moved.",
            ),
            meter.create_up_down_counter(
                "wxmedia.client.active_transfers",
                unit="{transfer}",
                description="Transfers that have started and not ended.",
            ),
            meter.create_counter(
                "wxmedia.client.retries",
                unit="{retry}",
                description="Tries that failed and were followed by another.",
            ),
            meter.create_counter(
                "wxmedia.client.token.renewals",
                unit="{renewal}",
                description="Tokens that WeChat refused and that were replaced.",
            ),
        )


@attrs.define(eq=False)
class _Instruments:
    _tracer: trace.Tracer
    _meters: _Meters
    _spans: dict[int, trace.Span] = attrs.field(
        factory=dict[int, trace.Span], init=False
    )

    def on_event(self, event: Event) -> None:
        if isinstance(event, Started):
            self._started(event)
        elif isinstance(event, (Finished, Failed)):
            self._ended(event)
        else:
            self._happened(event)

    def _started(self, event: Started) -> None:
        attributes = _common(event)
        self._meters.active.add(1, attributes)
        shown = dict(attributes)
        if event.media_id is not None:
            shown["wxmedia.media_id"] = event.media_id
        self._spans[event.transfer] = self._tracer.start_span(
            f"wxmedia {event.operation}",
            kind=trace.SpanKind.CLIENT,
            attributes=shown,
        )

    def _happened(self, event: Event) -> None:
        common = _common(event)
        if isinstance(event, Retried):
            told = {"wxmedia.wait": event.wait, **_failure(event.error)}
            self._meters.retries.add(1, common | _failure(event.error))
            self._note(event, "retry", told)
        elif isinstance(event, Renewed):
            self._meters.renewals.add(1, common)
            self._note(event, "token renewal", {})
        elif isinstance(event, Paused):  # pragma: no branch  - the last of all kinds
            self._note(event, "pause", {"wxmedia.wait": event.wait})

    def _note(self, event: Event, name: str, told: Attributes) -> None:
        span = self._spans.get(event.transfer)
        if span is not None:
            span.add_event(name, {"wxmedia.attempt": event.attempt, **told})

    def _ended(self, event: Finished | Failed) -> None:
        common = _common(event)
        failure = _failure(event.error) if isinstance(event, Failed) else {}
        self._meters.active.add(-1, common)
        self._meters.duration.record(event.seconds, common | failure)
        self._meters.size.record(event.bytes, common | failure)
        span = self._spans.pop(event.transfer, None)
        if span is not None:
            _end(span, event, failure)


def _end(span: trace.Span, event: Finished | Failed, failure: Attributes) -> None:
    span.set_attributes(
        {
            "wxmedia.size": event.bytes,
            "wxmedia.attempts": event.attempt,
            "wxmedia.slot_wait": event.slot_wait,
            **failure,
        }
    )
    if isinstance(event, Failed):
        # Others than ours may quote what they like.
        told = str(event.error) if isinstance(event.error, MediaError) else None
        span.set_status(trace.StatusCode.ERROR, told)
    span.end()


def _common(event: Event) -> Attributes:
    return {"wxmedia.operation": event.operation, "wxmedia.platform": event.platform}


def _failure(error: BaseException) -> Attributes:
    told: Attributes = {"error.type": type(error).__qualname__}
    if isinstance(error, APIError) and error.code is not None:
        told["wxmedia.errcode"] = error.code
    return told
