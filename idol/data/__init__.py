"""From batches of clips to latents and conditions."""
