"""The dataset on disk and in object stores: members, tars, manifests, reading, inspection.

Where to look:

| question | module |
|---|---|
| how is a key or a member named | `keys`, `members` |
| how does a clip become bytes, and come back | `images`, `codec` |
| how are bytes laid out in a tar | `tars` |
| how is a file written so that it is whole or absent | `storage` |
| what does a manifest say, how is a shard committed | `manifest`, `writer` |
| how is a dataset started, continued, finished | `dataset`, `index` |
| how is a clip read | `reader` |
| how are clips streamed to training | `stream` |
| what are cached latents | `latents` |
| what do `idol-shards` and its commands do | `cli`, `commands` |
| `ls`, and what all commands print | `tables`, `console` |
| `show` | `sheet`, `page`, `tiles` |
| `stats` | `stats`, `metrics` |
| `verify` | `verify`, `check_shard`, `check_sample` |
| `extract` | `extract` |
"""
