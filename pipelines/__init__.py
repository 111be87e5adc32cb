"""Ray flows from sources to shards: plan, build, retry; the command `idol-prep`."""
