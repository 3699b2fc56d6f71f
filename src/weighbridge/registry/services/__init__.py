"""What the registry does: takes in, inspects, decides, serves. Knows nothing of HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weighbridge.registry.services.access import Access
from weighbridge.registry.services.alerts import Alerts
from weighbridge.registry.services.behaviour import Behaviour
from weighbridge.registry.services.cases import Cases
from weighbridge.registry.services.filters import Filters
from weighbridge.registry.services.identity import Identity
from weighbridge.registry.services.inspector import Inspector
from weighbridge.registry.services.messages import Messages
from weighbridge.registry.services.mirrors import Mirrors
from weighbridge.registry.services.oci import Images
from weighbridge.registry.services.packages import Packages
from weighbridge.registry.services.repositories import Repositories
from weighbridge.registry.services.review import Review
from weighbridge.registry.services.staging import Staging
from weighbridge.registry.services.triage import Triage
from weighbridge.registry.services.upkeep import Upkeep
from weighbridge.registry.services.uploads import Uploads
from weighbridge.registry.services.waivers import Waivers
from weighbridge.registry.services.wishes import Wishes
from weighbridge.registry.services.workflow import Workflow

if TYPE_CHECKING:
    from weighbridge.registry.services.house import House


class Services:
    """All services of one registry."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.access = Access(house)
        self.identity = Identity(house, self.access)
        self.cases = Cases(house)
        self.repositories = Repositories(house, self.cases)
        self.mirrors = Mirrors(house, self.cases, self.repositories)
        self.packages = Packages(house, self.cases, self.repositories)
        self.images = Images(house, self.cases, self.repositories)
        self.uploads = Uploads(house)
        self.staging = Staging(house)
        self.review = Review(house)
        self.triage = Triage(house)
        self.filters = Filters(house)
        self.waivers = Waivers(house, self.cases)
        self.inspector = Inspector(house, self.cases, self.repositories, self.packages, self.waivers)
        self.behaviour = Behaviour(house, self.inspector)
        self.inspector.amended = self.behaviour.again
        self.workflow = Workflow(
            house,
            self.cases,
            self.repositories,
            self.mirrors,
            self.packages,
            self.images,
            self.inspector,
            self.behaviour,
        )
        self.messages = Messages(house)
        self.alerts = Alerts(house, self.cases)
        self.upkeep = Upkeep(house, self.cases, self.workflow, self.inspector)
        self.wishes = Wishes(self.repositories, self.mirrors, self.packages, self.images)
