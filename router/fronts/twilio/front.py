"""The fronts of the telephone, as data."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from router.fronts.front import Front
from router.fronts.twilio.machine import TelephoneCall
from router.fronts.twilio.wires import COUSINS, TWILIO
from router.session.profile import CONVERSE

if TYPE_CHECKING:
    from router.fronts.twilio.wires import Wire
    from router.session.options import SessionOptions

# A caller notices the start of a call only by the greeting, so the greeting is spoken in any case.
PROFILE: Final = msgspec.structs.replace(CONVERSE, name="twilio", early_inputs_wait=True, history=False)


def _options(options: SessionOptions) -> SessionOptions:
    return msgspec.structs.replace(options, greeting="spoken")


def _front(wire: Wire) -> Front:
    return Front(
        name=wire.name,
        profile=msgspec.structs.replace(PROFILE, name=wire.name),
        adapt=partial(TelephoneCall, wire=wire),
        options=_options,
        is_policed=False,
        can_move=True,
        can_outlive=True,
    )


TELEPHONE: Final = _front(TWILIO)
"""The front of the route `/twilio`."""

COUSIN_FRONTS: Final = tuple(_front(wire) for wire in COUSINS)
"""The fronts of the routes `/telnyx`, `/plivo`, `/exotel` and `/vonage`."""
