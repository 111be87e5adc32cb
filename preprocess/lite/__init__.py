"""The lite annotators: body, mask, hands and face of one person by small networks on the CPU.

Importing this is cheap; LiteRT is loaded when a network is made.
"""

from preprocess.lite.masks import RegionMask
from preprocess.lite.person import LitePerson, PersonFrame
from preprocess.lite.regions import Region

__all__ = ["LitePerson", "PersonFrame", "Region", "RegionMask"]
