"""What may come of asking the API, by what there is to do next."""

from __future__ import annotations


class ApiError(Exception):
    """It refused, or said what cannot be understood: ask anew for everything, after a while."""


class Broken(ApiError):
    """It could not be reached, or the connection broke: what is known still holds, go on from there."""


class Gone(ApiError):
    """What has changed since is not kept any more (410), as it happens: ask anew for everything."""
