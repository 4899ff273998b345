"""Who sees what users save, in the words of all pages."""

from __future__ import annotations

from submarine_ray.spec.saved import Audience

AUDIENCES = {Audience.PRIVATE: "Only you", Audience.TEAM: "Team: everyone who can use this service"}
SHORT = {Audience.PRIVATE: "private", Audience.TEAM: "shared with the team"}
