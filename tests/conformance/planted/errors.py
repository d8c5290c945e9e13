"""Faults in the errors: of the wrong type, too late, too talkative."""

import time
import traceback

import kato_transport as kt
from planted.base import HANG_S, Healthy, Wire


class SendsTracebacks(Healthy):
    """A service that raises shows its insides to the caller."""

    def wrapped(self, service):
        def telling(request):
            try:
                return service(request)
            except RuntimeError:
                return kt.Response.error(f"{request.method}: {traceback.format_exc()}", "internal")

        return telling


class SaysInternalOnly(Healthy):
    """A service's own errors lose their codes."""

    def wrapped(self, service):
        def codeless(request):
            try:
                return service(request)
            except kt.ServiceError as exc:
                code = "internal" if request.method == "refuse" else exc.code
                return kt.Response.error(exc.message, code)

        return codeless


class NoticesAbsenceLate(Healthy):
    """Finds out that nobody is there when the call's time is nearly over."""

    class Link(Wire):
        answered = False

        def request(self, request):
            try:
                answer = self.inner.request(request)
            except kt.ConnectFailed:
                if not self.answered and request.timeout_s > HANG_S:
                    time.sleep(HANG_S)
                raise
            self.answered = True
            return answer


class CallsAbsenceTimeout(Healthy):
    """Nobody there is a timeout, so that nobody knows whether the call ran."""

    class Link(Wire):
        answered = False

        def request(self, request):
            try:
                answer = self.inner.request(request)
            except kt.ConnectFailed:
                if self.answered:
                    raise
                raise kt.CallTimeout(request.method, request.timeout_s, self.endpoint) from None
            self.answered = True
            return answer


class LetsForeignErrorsOut(Healthy):
    """What the codec cannot carry ends in somebody else's exception."""

    class Link(Wire):
        def request(self, request):
            try:
                return self.inner.request(request)
            except kt.LocalProtocolError as exc:
                raise ValueError(str(exc)) from exc
