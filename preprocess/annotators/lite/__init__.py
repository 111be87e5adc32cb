"""The lite annotators: body, mask, hands and face of one person by small networks on the CPU.

Importing this is cheap; LiteRT is loaded when a network is made.
"""

from preprocess.annotators.lite.masks import RegionMask
from preprocess.annotators.lite.person import LitePerson, PersonFrame
from preprocess.annotators.lite.regions import Region

__all__ = ["LitePerson", "PersonFrame", "Region", "RegionMask"]
