"""All readers in order of preference: vendors' own models tell most, the standard ones come after them.

By what each was verified stands in its ``Model.verified``; of configurations: IOS XR native and UM, NX-OS, IOS XE
native, OpenConfig and IETF by the recorded running configurations of 12 routers, the others by instances of ours.
"""

from __future__ import annotations

from collectors.netconf.found import Found, merge
from collectors.netconf.models import Model
from collectors.netconf.readers import huawei, ietf, iosxe, iosxr, junos, nxos, openconfig
from collectors.netconf.xml import Element

_ROOMS = (iosxr, iosxe, nxos, junos, huawei, openconfig, ietf)
MODELS: tuple[Model, ...] = tuple(model for room in _ROOMS for model in room.MODELS)


def read_configured(data: Element) -> Found:
    """What the running configuration tells of names and addresses, in whatever models it is."""
    return merge(read(data) for room in _ROOMS for read in room.CONFIGURED)
