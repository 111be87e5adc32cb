"""Cached latents: what a VAE makes of a dataset's pictures, in shards beside the dataset's own.

{dataset}/latents-{VAE}-{size}/latents.json              which VAE, which size
{dataset}/latents-{VAE}-{size}/train/shard-00000.tar     samples of the same keys, same order
{dataset}/latents-{VAE}-{size}/train/shard-00000.json    manifest; says what it was made from

| question | module |
|---|---|
| what does such a folder say of itself | `info` |
| where do latents lie, are they those of this shard | `find` |
| which VAE is in a folder | `identity` |
| what is stored of a clip | `members` |
| which pictures are encoded | `pictures` |
| what can be wrong with them | `check` |
"""
