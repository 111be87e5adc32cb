"""The dataset on disk and in object stores: members, tars, manifests, reading, inspection."""
