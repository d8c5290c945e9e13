"""Faults in the answers: lost, swapped, late, mangled."""

import threading
from concurrent.futures import TimeoutError as FutureTimeout

from attrs import evolve

import kato_transport as kt
from planted.base import Healthy, Wire


class LosesReplies(Healthy):
    """Every thirtieth answer on a connection never comes."""

    class Link(Wire):
        count = 0

        def request(self, request):
            self.count += 1
            if self.count % 30:
                return self.inner.request(request)
            raise kt.CallTimeout(request.method, request.timeout_s, self.endpoint)


class SwapsAnswers(Healthy):
    """Of two callers at the same time, the second gets the first one's answer."""

    class Link(Wire):
        def __init__(self, *args):
            super().__init__(*args)
            self.lock, self.callers, self.kept = threading.Lock(), set(), None

        def request(self, request):
            with self.lock:
                self.callers.add(threading.get_ident())
            answer = self.inner.request(request)
            with self.lock:
                if len(self.callers) > 1:
                    answer, self.kept = self.kept or answer, answer
                self.callers.discard(threading.get_ident())
            return answer


class GivesLateAnswers(Healthy):
    """An answer that came after its call's time is given to the next call of the same thread."""

    class Link(Wire):
        def __init__(self, *args):
            super().__init__(*args)
            self.local = threading.local()

        def request(self, request):
            queue = self.local.__dict__.setdefault("queue", [])
            extra_s = 1 if request.method == "hold" else 0
            queue.append(self.inner.submit(evolve(request, timeout_s=request.timeout_s + extra_s)))
            try:
                answer = queue[0].result(request.timeout_s)
            except FutureTimeout:
                raise kt.CallTimeout(request.method, request.timeout_s, self.endpoint) from None
            except kt.TransportError:
                queue.pop(0)
                raise
            queue.pop(0)
            return answer


class MixesOrder(Healthy):
    """Answers to many calls come back in the opposite order."""

    class Link(Wire):
        def request_many(self, requests):
            return self.inner.request_many(requests)[::-1]


class LosesErrorsOfMany(Healthy):
    """One error ends all of many calls."""

    class Link(Wire):
        def request_many(self, requests):
            answers = self.inner.request_many(requests)
            failed = [answer for answer in answers if isinstance(answer, kt.Response) and answer.is_error]
            return failed * len(answers) if failed else answers


class RunsTwice(Healthy):
    """The server runs each request twice."""

    def wrapped(self, service):
        def twice(request):
            if request.method == "count":
                service(request)
            return service(request)

        return twice


class DropsEmptyPayloads(Healthy):
    """What is empty becomes nothing."""

    class Link(Wire):
        def request(self, request):
            params = {key: None if value in (b"", "") else value for key, value in request.params.items()}
            return self.inner.request(evolve(request, params=params))


class MakesTextOfBytes(Healthy):
    """Bytes that can be read as text arrive as text."""

    class Link(Wire):
        def request(self, request):
            params = {key: text_of(value) for key, value in request.params.items()}
            return self.inner.request(evolve(request, params=params))


def text_of(value):
    try:
        return value.decode() if isinstance(value, bytes) and value else value
    except UnicodeDecodeError:
        return value


class RunsCopiesTwice(Healthy):
    """What says that two requests are copies of one call is lost on the way."""

    class Link(Wire):
        def request(self, request):
            return self.inner.request(evolve(request, once="", repeat=False))
