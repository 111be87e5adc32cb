"""Looking at datasets: the command `idol-shards`."""
